from .delta_rbbox_coder import S5DeltaXYWHTRBBoxCoder
from .midpoint_offset_coder import S5MidpointOffsetCoder

__all__ = ['S5DeltaXYWHTRBBoxCoder', 'S5MidpointOffsetCoder']
