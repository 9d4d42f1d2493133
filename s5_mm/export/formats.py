"""Kinds of exported files."""
import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.export import ExportedProgram

from .check import Run
from .description import KEY
from .extras import extra
from .onnx_runtime import OnnxRuntime
from .openvino_runtime import OpenVINORuntime


class Format(NamedTuple):
    """A kind of file.

    Attributes:
        suffix: Of the file.
        packages: Whose versions are noted.
        convert: Makes what is saved of a traced graph.
        save: Writes it with a text to a path; other files may go beside it, with the same stem.
        open: Makes a function of a file that was written in this process.
    """

    suffix: str
    packages: tuple[str, ...]
    convert: Callable[[ExportedProgram], Any]
    save: Callable[[Any, str, Path], None]
    open: Callable[[Path], Run]


def _to_onnx(program: ExportedProgram) -> Any:
    extra('onnxscript')
    # The exporter prints its progress.
    with contextlib.redirect_stdout(io.StringIO()):
        return torch.onnx.export(program, dynamo=True, input_names=['images'], output_names=['probabilities'],
                                 verbose=False)


def _save_onnx(converted: Any, text: str, path: Path) -> None:
    converted.model.metadata_props[KEY] = text
    converted.save(path)


def _to_openvino(program: ExportedProgram) -> Any:
    model = extra('openvino').convert_model(program)
    model.inputs[0].set_names({'images'})
    model.outputs[0].set_names({'probabilities'})
    return model


def _save_openvino(converted: Any, text: str, path: Path) -> None:
    converted.set_rt_info(text, KEY)
    extra('openvino').save_model(converted, path, compress_to_fp16=False)


def _save_pt2(program: ExportedProgram, text: str, path: Path) -> None:
    torch.export.save(program, path, extra_files={KEY: text})


def _open_pt2(path: Path) -> Run:
    module = torch.export.load(path).module()

    def run(inputs: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(torch.from_numpy(inputs)).numpy()
    return run


FORMATS = dict(
    onnx=Format('.onnx', ('onnx', 'onnxscript', 'onnxruntime'), _to_onnx, _save_onnx, OnnxRuntime),
    openvino=Format('.xml', ('openvino', ), _to_openvino, _save_openvino, OpenVINORuntime),
    pt2=Format('.pt2', (), lambda program: program, _save_pt2, _open_pt2))
"""Name -> kind of file. ``pt2`` is torch's own format of programs."""
