from .deferred_upsampling import DeferredUpsampling
from .moe_ffn import MoEFFN
from .self_attention import SelfAttention
from .subpixel_conv import subpixel_conv
from .token_linear import TokenLinear
from .upsampled_conv import UpsampledConv2d

__all__ = ['DeferredUpsampling', 'MoEFFN', 'SelfAttention', 'TokenLinear', 'UpsampledConv2d', 'subpixel_conv']
