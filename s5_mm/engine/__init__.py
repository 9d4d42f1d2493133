from .hooks import (
    DatasetFilterHook,
    DivergenceHook,
    IterationSeedHook,
    MeanTeacherHook,
    MultiDatasetVisualizationHook,
    PreflightHook,
    RadiometryHook,
    SamplerSeedHook,
    SemiPanelHook,
    UnreadableImagesHook,
)
from .loops import LongestEpochTrainLoop, MultiDatasetTestLoop, MultiDatasetValLoop
from .optim_wrapper import Bf16OptimWrapper
from .runner import S5Runner

__all__ = [
    'Bf16OptimWrapper', 'DatasetFilterHook', 'DivergenceHook', 'IterationSeedHook', 'LongestEpochTrainLoop',
    'MeanTeacherHook', 'MultiDatasetTestLoop', 'MultiDatasetValLoop', 'MultiDatasetVisualizationHook', 'PreflightHook',
    'RadiometryHook', 'S5Runner', 'SamplerSeedHook', 'SemiPanelHook', 'UnreadableImagesHook'
]
