from .adaptive_pool import adaptive_avg_pool2d
from .experts import DatasetRouter, ExpertLinear, Experts, Router, check_names
from .ffn import FFN
from .position_table import RULES, resize_table
from .relative_attention import RelativeAttention
from .rotary import RotaryEmbedding
from .rotary_attention import RotaryAttention
from .rvsa import RVSA
from .self_attention import SelfAttention
from .swiglu import SwiGLU
from .upsampled_conv import upsampled_conv2d

__all__ = [
    'FFN', 'RULES', 'RVSA', 'DatasetRouter', 'ExpertLinear', 'Experts', 'RelativeAttention', 'RotaryAttention',
    'RotaryEmbedding', 'Router', 'SelfAttention', 'SwiGLU', 'adaptive_avg_pool2d', 'check_names', 'resize_table',
    'upsampled_conv2d'
]
