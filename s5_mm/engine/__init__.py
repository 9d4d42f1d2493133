from .hooks import CheckpointFitHook, FixMatchPanelHook, IterationSeedHook, UnreadableImagesHook
from .optim_wrapper import Bf16OptimWrapper

__all__ = ['Bf16OptimWrapper', 'CheckpointFitHook', 'FixMatchPanelHook', 'IterationSeedHook', 'UnreadableImagesHook']
