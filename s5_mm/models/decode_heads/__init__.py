from .uper_head import S5UPerHead

__all__ = ['S5UPerHead']
