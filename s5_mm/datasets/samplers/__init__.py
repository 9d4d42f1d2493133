from .multi_source_sampler import MultiSourceSampler, Selection

__all__ = ['MultiSourceSampler', 'Selection']
