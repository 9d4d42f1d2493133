from .hooks import (
    DatasetFilterHook,
    DivergenceHook,
    FiniteHook,
    IterationSeedHook,
    MeanTeacherHook,
    MultiDatasetVisualizationHook,
    PreflightHook,
    RadiometryHook,
    SafeCheckpointHook,
    SamplerSeedHook,
    SemiPanelHook,
    SignalHook,
    UnreadableImagesHook,
    WorkDirLockHook,
)
from .loops import LongestEpochTrainLoop, MultiDatasetTestLoop, MultiDatasetValLoop
from .optim_wrapper import Bf16OptimWrapper
from .runner import S5Runner
from .signals import TrainingStopped

__all__ = [
    'Bf16OptimWrapper', 'DatasetFilterHook', 'DivergenceHook', 'FiniteHook', 'IterationSeedHook',
    'LongestEpochTrainLoop', 'MeanTeacherHook', 'MultiDatasetTestLoop', 'MultiDatasetValLoop',
    'MultiDatasetVisualizationHook', 'PreflightHook', 'RadiometryHook', 'S5Runner', 'SafeCheckpointHook',
    'SamplerSeedHook', 'SemiPanelHook', 'SignalHook', 'TrainingStopped', 'UnreadableImagesHook', 'WorkDirLockHook'
]
