from .encoder import MIN_SHARE, load_encoder
from .reading import read_checkpoint

__all__ = ['MIN_SHARE', 'load_encoder', 'read_checkpoint']
