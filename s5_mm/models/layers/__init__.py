from .moe_ffn import MoEFFN
from .upsampled_conv import UpsampledConv2d

__all__ = ['MoEFFN', 'UpsampledConv2d']
