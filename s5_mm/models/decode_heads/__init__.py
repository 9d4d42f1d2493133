from .uper_head import UPerHead

__all__ = ['UPerHead']
