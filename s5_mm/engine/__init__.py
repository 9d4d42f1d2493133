from .hooks import (
    DatasetFilterHook,
    DivergenceHook,
    FiniteHook,
    IterationSeedHook,
    LossRampHook,
    MeanTeacherHook,
    MultiDatasetVisualizationHook,
    PreflightHook,
    PseudoLabelHook,
    RadiometryHook,
    ReconstructionHook,
    ResumeHook,
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
    'LongestEpochTrainLoop', 'LossRampHook', 'MeanTeacherHook', 'MultiDatasetTestLoop', 'MultiDatasetValLoop',
    'MultiDatasetVisualizationHook', 'PreflightHook', 'PseudoLabelHook', 'RadiometryHook', 'ReconstructionHook',
    'ResumeHook', 'S5Runner', 'SafeCheckpointHook', 'SamplerSeedHook', 'SemiPanelHook', 'SignalHook', 'TrainingStopped',
    'UnreadableImagesHook', 'WorkDirLockHook'
]
