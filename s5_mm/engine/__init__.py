from .hooks import FixMatchPanelHook, IterationSeedHook, UnreadableImagesHook
from .optim_wrapper import Bf16OptimWrapper

__all__ = ['Bf16OptimWrapper', 'FixMatchPanelHook', 'IterationSeedHook', 'UnreadableImagesHook']
