from .base import SemiBaseSegmentor
from .consistency_loss import ConsistencyLoss
from .cutmix import CutMix
from .fixmatch import FixMatchSegmentor
from .pseudo_label import PseudoLabel
from .step import SemiBatch, SemiStep, View
from .strong_view import StrongView
from .unimatch_v2 import UniMatchV2Segmentor

__all__ = [
    'ConsistencyLoss', 'CutMix', 'FixMatchSegmentor', 'PseudoLabel', 'SemiBaseSegmentor', 'SemiBatch', 'SemiStep',
    'StrongView', 'UniMatchV2Segmentor', 'View'
]
