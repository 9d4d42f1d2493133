from .hooks import (
    DatasetFilterHook,
    DivergenceHook,
    IterationSeedHook,
    LossRampHook,
    MeanTeacherHook,
    MultiDatasetVisualizationHook,
    PreflightHook,
    PseudoLabelHook,
    SamplerSeedHook,
    SemiPanelHook,
    UnreadableImagesHook,
)
from .loops import LongestEpochTrainLoop, MultiDatasetTestLoop, MultiDatasetValLoop
from .optim_wrapper import Bf16OptimWrapper
from .runner import S5Runner

__all__ = [
    'Bf16OptimWrapper', 'DatasetFilterHook', 'DivergenceHook', 'IterationSeedHook', 'LongestEpochTrainLoop',
    'LossRampHook', 'MeanTeacherHook', 'MultiDatasetTestLoop', 'MultiDatasetValLoop',
    'MultiDatasetVisualizationHook', 'PreflightHook', 'PseudoLabelHook', 'S5Runner', 'SamplerSeedHook',
    'SemiPanelHook', 'UnreadableImagesHook'
]
