from .band_groups import BandGroupViT
from .encoder import Encoder
from .host_encoder import host_encoder
from .internimage import InternImage
from .scale_mae import ScaleMAE
from .table import ENCODERS, named_encoder
from .vit import ViT

__all__ = [
    'ENCODERS', 'BandGroupViT', 'Encoder', 'InternImage', 'ScaleMAE', 'ViT', 'host_encoder', 'named_encoder'
]
