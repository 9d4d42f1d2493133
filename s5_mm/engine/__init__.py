from .hooks import (
    BatchCompositionHook,
    CheckpointFitHook,
    ClassCountHook,
    DatasetFilterHook,
    DivergenceHook,
    IterationSeedHook,
    MeanTeacherHook,
    MultiDatasetVisualizationHook,
    SemiPanelHook,
    UnreadableImagesHook,
)
from .loops import LongestEpochTrainLoop, MultiDatasetTestLoop, MultiDatasetValLoop
from .optim_wrapper import Bf16OptimWrapper

__all__ = [
    'BatchCompositionHook', 'Bf16OptimWrapper', 'CheckpointFitHook', 'ClassCountHook', 'DatasetFilterHook',
    'DivergenceHook', 'IterationSeedHook', 'LongestEpochTrainLoop', 'MeanTeacherHook', 'MultiDatasetTestLoop',
    'MultiDatasetValLoop', 'MultiDatasetVisualizationHook', 'SemiPanelHook', 'UnreadableImagesHook'
]
