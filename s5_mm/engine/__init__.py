from .hooks import (
    CheckpointFitHook,
    DatasetFilterHook,
    DivergenceHook,
    IterationSeedHook,
    MeanTeacherHook,
    MultiDatasetVisualizationHook,
    PreflightHook,
    SamplerSeedHook,
    SemiPanelHook,
    UnreadableImagesHook,
)
from .loops import LongestEpochTrainLoop, MultiDatasetTestLoop, MultiDatasetValLoop
from .optim_wrapper import Bf16OptimWrapper

__all__ = [
    'Bf16OptimWrapper', 'CheckpointFitHook', 'DatasetFilterHook', 'DivergenceHook', 'IterationSeedHook',
    'LongestEpochTrainLoop', 'MeanTeacherHook', 'MultiDatasetTestLoop', 'MultiDatasetValLoop',
    'MultiDatasetVisualizationHook', 'PreflightHook', 'SamplerSeedHook', 'SemiPanelHook', 'UnreadableImagesHook'
]
