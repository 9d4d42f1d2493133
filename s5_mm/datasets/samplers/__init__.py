from .multi_source_sampler import MultiSourceSampler, SourceSubset

__all__ = ['MultiSourceSampler', 'SourceSubset']
