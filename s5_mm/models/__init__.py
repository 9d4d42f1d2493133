from .backbones import ViT, ViTMoE
from .decode_heads import UPerHead
from .segmentors import EncoderDecoder, FixMatchSegmentor, MultiDatasetSegmentor
from .semi import ConsistencyLoss, CutMix, PseudoLabel, StrongView

__all__ = [
    'ConsistencyLoss', 'CutMix', 'EncoderDecoder', 'FixMatchSegmentor', 'MultiDatasetSegmentor', 'PseudoLabel',
    'StrongView', 'UPerHead', 'ViT', 'ViTMoE',
]
