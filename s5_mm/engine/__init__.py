from .hooks import (
    BatchCompositionHook,
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
from .runner import S5Runner

__all__ = [
    'BatchCompositionHook', 'Bf16OptimWrapper', 'ClassCountHook', 'DatasetFilterHook',
    'DivergenceHook', 'FixMatchPanelHook', 'IterationSeedHook', 'LongestEpochTrainLoop', 'MultiDatasetTestLoop',
    'MultiDatasetValLoop', 'MultiDatasetVisualizationHook', 'S5Runner', 'UnreadableImagesHook'
]
