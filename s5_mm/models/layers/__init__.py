from .deferred_upsampling import DeferredUpsampling
from .expert_linear import expert_linear
from .moe_ffn import MoEFFN
from .self_attention import SelfAttention
from .upsampled_conv import UpsampledConv2d

__all__ = ['DeferredUpsampling', 'MoEFFN', 'SelfAttention', 'UpsampledConv2d', 'expert_linear']
