from .encoder import load_encoder
from .reading import read_checkpoint

__all__ = ['load_encoder', 'read_checkpoint']
