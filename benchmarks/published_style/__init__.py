"""S5 as its published code computes it, the baseline that our speed is compared with.

Own short code from what is known about that code; ``tests/benchmarks/test_published_style.py`` checks that it computes
the published values. Every part is written as fast as its way allows.
"""
from .encoder import Encoder
from .segmentors import FixMatchNetwork, MultiDatasetNetwork
from .steps import fixmatch_loss, multi_dataset_loss, pseudo_label, unlabeled_loss

__all__ = [
    'Encoder', 'FixMatchNetwork', 'MultiDatasetNetwork', 'fixmatch_loss', 'multi_dataset_loss', 'pseudo_label',
    'unlabeled_loss'
]
