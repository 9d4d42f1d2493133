"""OpenVINO: files ``.xml`` with ``.bin`` on CPUs."""
from pathlib import Path

import numpy as np
import torch

from .description import KEY
from .extras import extra


class OpenVINORuntime:
    """Runs a file on as many threads as torch has.

    Args:
        path: File, ``.xml``; its weights are beside it, ``.bin``.
        precision: ``'fp32'`` or ``'bf16'``.

    Attributes:
        text: The file's :class:`s5_mm.export.Description`; ``None``: it has none.

    Raises:
        ValueError: The CPU does not compute in bfloat16.
    """

    suffix = '.xml'
    precisions = ('fp32', 'bf16')

    def __init__(self, path: Path, precision: str = 'fp32') -> None:
        core = extra('openvino').Core()
        if precision == 'bf16' and 'BF16' not in core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
            raise ValueError('this CPU does not compute in bfloat16; leave --precision bf16 out.')
        # Unasked, OpenVINO computes in bfloat16 where the CPU can.
        options = dict(INFERENCE_PRECISION_HINT=dict(fp32='f32', bf16='bf16')[precision], PERFORMANCE_HINT='LATENCY',
                       INFERENCE_NUM_THREADS=torch.get_num_threads())
        model = core.read_model(str(path))
        self.text: str | None = model.get_rt_info(KEY).astype(str) if model.has_rt_info(KEY) else None
        self._model = core.compile_model(model, 'CPU', options)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Probabilities (B, K, H, W) of inputs (B, C, H, W)."""
        return self._model([inputs], share_inputs=True)[0]
