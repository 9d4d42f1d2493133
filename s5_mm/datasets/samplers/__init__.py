from .multi_source_sampler import MultiSourceSampler, SourceSubset, Stretch
from .rare_classes import RareClasses

__all__ = ['MultiSourceSampler', 'RareClasses', 'SourceSubset', 'Stretch']
