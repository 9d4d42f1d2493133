from .deferred_upsampling import DeferredUpsampling
from .expert_linear import expert_linear
from .moe_ffn import MoEFFN
from .upsampled_conv import UpsampledConv2d

__all__ = ['DeferredUpsampling', 'MoEFFN', 'UpsampledConv2d', 'expert_linear']
