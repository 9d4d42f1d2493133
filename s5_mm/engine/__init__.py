from .hooks import (
    BatchCompositionHook,
    CheckpointFitHook,
    ClassCountHook,
    DatasetFilterHook,
    DivergenceHook,
    FixMatchPanelHook,
    IterationSeedHook,
    MultiDatasetVisualizationHook,
    UnreadableImagesHook,
)
from .loops import LongestEpochTrainLoop, MultiDatasetTestLoop, MultiDatasetValLoop
from .optim_wrapper import Bf16OptimWrapper

__all__ = [
    'BatchCompositionHook', 'Bf16OptimWrapper', 'CheckpointFitHook', 'ClassCountHook', 'DatasetFilterHook',
    'DivergenceHook', 'FixMatchPanelHook', 'IterationSeedHook', 'LongestEpochTrainLoop', 'MultiDatasetTestLoop',
    'MultiDatasetValLoop', 'MultiDatasetVisualizationHook', 'UnreadableImagesHook'
]
