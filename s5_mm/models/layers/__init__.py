from .experts import DatasetRouter, ExpertLinear, Experts, Router, check_names
from .ffn import FFN
from .self_attention import SelfAttention
from .upsampled_conv import upsampled_conv2d

__all__ = [
    'FFN', 'DatasetRouter', 'ExpertLinear', 'Experts', 'Router', 'SelfAttention', 'upsampled_conv2d', 'check_names'
]
