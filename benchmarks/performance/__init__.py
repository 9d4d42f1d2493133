"""Cases of the speed comparison, and how they are measured; the command is ``benchmarks/run.py``."""
from .detection import det_backbone, det_step
from .growth import measure_growth
from .inference import inference_merged, scoring
from .loader import loader
from .measuring import Case, Settings, ceiling, compare, multiply_adds, peak_bytes, summary
from .training import mdf_step, s4p_step

CASES = dict(
    s4p_step=s4p_step, mdf_step=mdf_step, det_backbone=det_backbone, det_step=det_step,
    inference_merged=inference_merged, scoring=scoring, loader=loader)

__all__ = [
    'CASES', 'Case', 'Settings', 'ceiling', 'compare', 'measure_growth', 'multiply_adds', 'peak_bytes', 'summary'
]
