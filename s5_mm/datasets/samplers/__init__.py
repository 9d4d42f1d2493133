from .multi_source_sampler import MultiSourceSampler, SourceSubset, Stretch

__all__ = ['MultiSourceSampler', 'SourceSubset', 'Stretch']
