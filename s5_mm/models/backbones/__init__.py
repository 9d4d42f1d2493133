from .encoder import Encoder
from .host_encoder import host_encoder
from .table import ENCODERS, named_encoder
from .vit import ViT

__all__ = ['ENCODERS', 'Encoder', 'ViT', 'host_encoder', 'named_encoder']
