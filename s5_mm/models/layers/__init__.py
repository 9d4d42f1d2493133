from .deferred_upsampling import DeferredUpsampling
from .moe_ffn import MoEFFN
from .upsampled_conv import UpsampledConv2d

__all__ = ['DeferredUpsampling', 'MoEFFN', 'UpsampledConv2d']
