from .cross_entropy_loss import S5CrossEntropyLoss
from .uper_head import S5UPerHead

__all__ = ['S5CrossEntropyLoss', 'S5UPerHead']
