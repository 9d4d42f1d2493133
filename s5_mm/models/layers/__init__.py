from .moe_ffn import MoEFFN

__all__ = ['MoEFFN']
