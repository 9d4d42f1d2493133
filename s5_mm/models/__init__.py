from .backbones import ViT, ViTMoE
from .decode_heads import UPerHead
from .segmentors import FixMatchSegmentor
from .semi import ConsistencyLoss, CutMix, PseudoLabel, StrongView

__all__ = ['ConsistencyLoss', 'CutMix', 'FixMatchSegmentor', 'PseudoLabel', 'StrongView', 'UPerHead', 'ViT', 'ViTMoE']
