"""ONNX Runtime: files ``.onnx`` on CPUs."""
import tempfile
from pathlib import Path

import numpy as np
import torch

from .description import KEY
from .extras import extra


class OnnxRuntime:
    """Runs a file on as many threads as torch has.

    Args:
        path: File, ``.onnx``.
        precision: ``'fp32'``; ``'int8'``: matrix products multiply 8-bit weights with activations that are rounded to
            8 bits as they come.

    Attributes:
        text: The file's :class:`s5_mm.export.Description`; ``None``: it has none.
    """

    suffix = '.onnx'
    precisions = ('fp32', 'int8')

    def __init__(self, path: Path, precision: str = 'fp32') -> None:
        runtime = extra('onnxruntime')
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
        options.log_severity_level = 3
        with tempfile.TemporaryDirectory() as folder:
            chosen = _in_8_bits(path, Path(folder)) if precision == 'int8' else path
            self._session = runtime.InferenceSession(str(chosen), options, providers=['CPUExecutionProvider'])
        self.text: str | None = self._session.get_modelmeta().custom_metadata_map.get(KEY)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Probabilities (B, K, H, W) of inputs (B, C, H, W)."""
        return self._session.run(['probabilities'], dict(images=inputs))[0]


def _in_8_bits(path: Path, folder: Path) -> Path:
    quantized = folder / 'int8.onnx'
    extra('onnxruntime.quantization').quantize_dynamic(path, quantized, op_types_to_quantize=['MatMul', 'Gemm'],
                                                       per_channel=True)
    return quantized
