from .consistency_loss import ConsistencyLoss
from .cutmix import CutMix
from .pseudo_label import PseudoLabel
from .strong_view import StrongView

__all__ = ['ConsistencyLoss', 'CutMix', 'PseudoLabel', 'StrongView']
