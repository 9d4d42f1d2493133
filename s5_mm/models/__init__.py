from .backbones import ViT, ViTMoE
from .decode_heads import UPerHead
from .detectors import MultiDatasetDetector
from .roi_heads import RotatedSingleRoIExtractor
from .segmentors import EncoderDecoder, FixMatchSegmentor, MultiDatasetSegmentor
from .semi import ConsistencyLoss, CutMix, PseudoLabel, StrongView
from .task_modules import DeltaXYWHTRBBoxCoder, MidpointOffsetCoder

__all__ = [
    'ConsistencyLoss', 'CutMix', 'DeltaXYWHTRBBoxCoder', 'EncoderDecoder', 'FixMatchSegmentor', 'MidpointOffsetCoder',
    'MultiDatasetDetector', 'MultiDatasetSegmentor', 'PseudoLabel', 'RotatedSingleRoIExtractor', 'StrongView',
    'UPerHead', 'ViT', 'ViTMoE',
]
