from .backbones import ENCODERS, Encoder, ViT
from .decode_heads import S5UPerHead
from .detectors import MultiDatasetDetector
from .roi_heads import S5RotatedSingleRoIExtractor
from .segmentors import MultiDatasetSegmentor, S5EncoderDecoder
from .semi import (
    ConsistencyLoss,
    CutMix,
    FixMatchSegmentor,
    PseudoLabel,
    SemiBaseSegmentor,
    SemiBatch,
    SemiStep,
    StrongView,
    UniMatchV2Segmentor,
    View,
)
from .task_modules import S5DeltaXYWHTRBBoxCoder, S5MidpointOffsetCoder

__all__ = [
    'ENCODERS', 'ConsistencyLoss', 'CutMix', 'Encoder', 'FixMatchSegmentor', 'MultiDatasetDetector',
    'MultiDatasetSegmentor', 'PseudoLabel', 'S5DeltaXYWHTRBBoxCoder', 'S5EncoderDecoder', 'S5MidpointOffsetCoder',
    'S5RotatedSingleRoIExtractor', 'S5UPerHead', 'SemiBaseSegmentor', 'SemiBatch', 'SemiStep', 'StrongView',
    'UniMatchV2Segmentor', 'ViT', 'View'
]
