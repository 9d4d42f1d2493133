from .hooks import (
    CheckpointFitHook,
    FixMatchPanelHook,
    IterationSeedHook,
    MultiDatasetVisualizationHook,
    UnreadableImagesHook,
)
from .loops import LongestEpochTrainLoop, MultiDatasetTestLoop, MultiDatasetValLoop
from .optim_wrapper import Bf16OptimWrapper

__all__ = [
    'Bf16OptimWrapper', 'CheckpointFitHook', 'FixMatchPanelHook', 'IterationSeedHook', 'LongestEpochTrainLoop',
    'MultiDatasetTestLoop', 'MultiDatasetValLoop', 'MultiDatasetVisualizationHook', 'UnreadableImagesHook'
]
