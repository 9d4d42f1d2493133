from .backbones import ENCODERS, Encoder, ViT
from .data_preprocessors import BandDetDataPreprocessor, BandSegDataPreProcessor
from .decode_heads import S5CrossEntropyLoss, S5UPerHead
from .detectors import MultiDatasetDetector
from .roi_heads import S5RotatedSingleRoIExtractor
from .segmentors import MultiDatasetSegmentor, S5EncoderDecoder
from .selfsup import MaskedAutoencoder
from .semi import (
    Alignment,
    ClassMean,
    ClassMix,
    ClassQuantile,
    ConfidenceAlignment,
    ConfidentShare,
    ConsistencyLoss,
    CorrMatchThreshold,
    CutMix,
    DAWThreshold,
    FixMatchSegmentor,
    FreeMatchThreshold,
    PseudoLabel,
    RankWeight,
    Selection,
    SemiBaseSegmentor,
    SemiBatch,
    SemiStep,
    ShareAlignment,
    SoftMatch,
    StrongView,
    Threshold,
    UniMatchV2Segmentor,
    View,
)
from .task_modules import S5DeltaXYWHTRBBoxCoder, S5MidpointOffsetCoder

__all__ = [
    'Alignment', 'BandDetDataPreprocessor', 'BandSegDataPreProcessor', 'ClassMean', 'ClassMix', 'ClassQuantile',
    'ConfidenceAlignment', 'ConfidentShare', 'ConsistencyLoss', 'CorrMatchThreshold', 'CutMix', 'DAWThreshold',
    'ENCODERS', 'Encoder', 'FixMatchSegmentor', 'FreeMatchThreshold', 'MaskedAutoencoder', 'MultiDatasetDetector',
    'MultiDatasetSegmentor', 'PseudoLabel', 'RankWeight', 'S5CrossEntropyLoss', 'S5DeltaXYWHTRBBoxCoder',
    'S5EncoderDecoder', 'S5MidpointOffsetCoder', 'S5RotatedSingleRoIExtractor', 'S5UPerHead', 'Selection',
    'SemiBaseSegmentor', 'SemiBatch', 'SemiStep', 'ShareAlignment', 'SoftMatch', 'StrongView', 'Threshold',
    'UniMatchV2Segmentor', 'ViT', 'View'
]
