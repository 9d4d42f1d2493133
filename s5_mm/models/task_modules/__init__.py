from .delta_rbbox_coder import DeltaXYWHTRBBoxCoder
from .midpoint_offset_coder import MidpointOffsetCoder

__all__ = ['DeltaXYWHTRBBoxCoder', 'MidpointOffsetCoder']
