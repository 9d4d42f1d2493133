"""Operators on rotated boxes in plain torch, for training, merging of patches and metrics alike.

They need no compiler, run on every device, take every floating type and layout in memory, and compute overlaps in
float64. mmcv's compiled operators compute them in float32 and read memory as if every tensor were contiguous.

**How mmdet and mmrotate come by them.** They call ``mmcv.ops``, whose Python code calls the compiled module
``mmcv._ext``. Importing ``s5_mm`` puts a module of that name into ``sys.modules`` before ``mmcv.ops`` is imported
(:mod:`s5_mm.ops.mmcv_operators`), so one door serves all, whether mmcv has compiled operators or not. Nothing else of
the hosts is changed, and no file of theirs. The environment variable ``S5_MM_OPS`` chooses:

========== ============================================ =============================================
value      operators of this package                    all other operators of mmcv
========== ============================================ =============================================
not set    CPUs: plain torch. Other devices: mmcv's, if mmcv's compiled ones; without them, one sentence
           it was compiled for them, else plain torch   that names the operator when it is called
``torch``  plain torch on every device                  likewise
``mmcv``   mmcv's compiled ones; an error without them  mmcv's compiled ones
========== ============================================ =============================================

The first call of an operator logs what is in use. Who imports ``mmcv.ops`` before ``s5_mm`` keeps mmcv's own operators:
a warning says so, or an error if ``S5_MM_OPS=torch`` or there are none. Metrics and merging call the functions below
directly.
"""
from torchvision.ops import nms, roi_align

from .mmcv_operators import Operators, serve_mmcv
from .overlaps import Pairs, box_iou_rotated, corners_of, overlapping_pairs
from .rotated_nms import nms_rotated
from .rotated_roi_align import roi_align_rotated

__all__ = [
    'Operators', 'Pairs', 'box_iou_rotated', 'corners_of', 'nms', 'nms_rotated', 'overlapping_pairs',
    'roi_align', 'roi_align_rotated', 'serve_mmcv'
]
