from .band_groups import BandGroupViT
from .dofa import DOFA
from .encoder import Encoder
from .host_encoder import host_encoder
from .internimage import InternImage
from .scale_mae import ScaleMAE
from .swin_v2 import SwinTransformerV2
from .table import ENCODERS, named_encoder
from .timm_encoder import TimmEncoder
from .vit import ViT

__all__ = [
    'DOFA', 'ENCODERS', 'BandGroupViT', 'Encoder', 'InternImage', 'ScaleMAE', 'SwinTransformerV2',
    'TimmEncoder', 'ViT', 'host_encoder', 'named_encoder'
]
