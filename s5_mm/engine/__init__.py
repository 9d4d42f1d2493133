from .hooks import (
    CheckpointFitHook,
    DatasetFilterHook,
    DivergenceHook,
    FixMatchPanelHook,
    IterationSeedHook,
    MultiDatasetVisualizationHook,
    PreflightHook,
    SamplerSeedHook,
    UnreadableImagesHook,
)
from .loops import LongestEpochTrainLoop, MultiDatasetTestLoop, MultiDatasetValLoop
from .optim_wrapper import Bf16OptimWrapper

__all__ = [
    'Bf16OptimWrapper', 'CheckpointFitHook', 'DatasetFilterHook', 'DivergenceHook', 'FixMatchPanelHook',
    'IterationSeedHook', 'LongestEpochTrainLoop', 'MultiDatasetTestLoop', 'MultiDatasetValLoop',
    'MultiDatasetVisualizationHook', 'PreflightHook', 'SamplerSeedHook', 'UnreadableImagesHook'
]
