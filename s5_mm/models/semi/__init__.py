from .alignment import Alignment, ConfidenceAlignment, ShareAlignment
from .base import SemiBaseSegmentor
from .classmix import ClassMix
from .consistency_loss import ConsistencyLoss
from .cutmix import CutMix
from .fixmatch import FixMatchSegmentor
from .pseudo_label import PseudoLabel
from .selection import (
    ClassMean,
    ClassQuantile,
    ConfidentShare,
    CorrMatchThreshold,
    DAWThreshold,
    FreeMatchThreshold,
    RankWeight,
    Selection,
    SoftMatch,
    Threshold,
)
from .step import SemiBatch, SemiStep, View
from .strong_view import StrongView
from .unimatch_v2 import UniMatchV2Segmentor

__all__ = [
    'Alignment', 'ClassMean', 'ClassMix', 'ClassQuantile', 'ConfidenceAlignment', 'ConfidentShare',
    'ConsistencyLoss', 'CorrMatchThreshold', 'CutMix', 'DAWThreshold', 'FixMatchSegmentor', 'FreeMatchThreshold',
    'PseudoLabel', 'RankWeight', 'Selection', 'SemiBaseSegmentor', 'SemiBatch', 'SemiStep', 'ShareAlignment',
    'SoftMatch', 'StrongView', 'Threshold', 'UniMatchV2Segmentor', 'View'
]
