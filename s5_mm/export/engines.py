"""What runs a segmentor on windows: torch, a compiled graph, or a program that reads an exported file."""
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from s5_mm.scenes import SceneModel
from s5_mm.scenes.engine import AUTOCAST, TorchEngine, autocast

from .check import Run
from .description import Description
from .exporting import described_graph
from .graph import SegmentationGraph
from .onnx_runtime import OnnxRuntime
from .openvino_runtime import OpenVINORuntime

RUNTIMES = dict(onnxruntime=OnnxRuntime, openvino=OpenVINORuntime)
"""Name -> what runs files of its ``suffix`` in its ``precisions``."""
TORCH = ('torch', 'compile')
"""Engines that take a config and a checkpoint."""
ENGINES = (*TORCH, *RUNTIMES)
PRECISIONS = {name: tuple(AUTOCAST) for name in TORCH} | {name: kind.precisions for name, kind in RUNTIMES.items()}
"""Engine -> how exactly it computes; the first is the default."""


class CompiledEngine:
    """A graph that torch compiles when it meets the first windows.

    Args:
        graph: On its device.
        told: What is known about it.
        precision: A key of :data:`s5_mm.scenes.engine.AUTOCAST`.
    """

    def __init__(self, graph: SegmentationGraph, told: Description, precision: str) -> None:
        self.divisor, self.device = told.divisor, graph.mean.device
        self._graph, self._told, self._precision = torch.compile(graph), told, precision

    @torch.inference_mode()
    def probabilities(self, images: np.ndarray) -> Tensor:
        """See :meth:`s5_mm.scenes.engine.Engine.probabilities`."""
        inputs = torch.from_numpy(self._told.inputs(images)).to(self.device)
        with autocast(self.device, self._precision):
            return self._graph(inputs)


class FileEngine:
    """An exported file, run by another program.

    Args:
        run: Runs the file.
        told: What it tells.
    """

    device = torch.device('cpu')

    def __init__(self, run: Run, told: Description) -> None:
        self.divisor, self._run, self._told = told.divisor, run, told

    def probabilities(self, images: np.ndarray) -> Tensor:
        """See :meth:`s5_mm.scenes.engine.Engine.probabilities`."""
        return torch.from_numpy(self._run(self._told.inputs(images)))


def with_engine(model: SceneModel, cfg: Mapping[str, Any], engine: str = 'torch',
                precision: str = 'fp32') -> SceneModel:
    """Let torch run a segmentor in another way.

    Args:
        model: From :func:`s5_mm.scenes.load_model`.
        cfg: Config of its network.
        engine: One of :data:`TORCH`.
        precision: See :data:`PRECISIONS`.

    Raises:
        ValueError: The engine runs exported files, does not have the precision, or cannot take the model.
    """
    _check_precision(engine, precision)
    if engine in RUNTIMES:
        raise ValueError(f'{engine} runs exported files; write one with tools/export.py and give it in the place of '
                         'config and checkpoint.')
    if engine == 'torch':
        chosen = TorchEngine(model.network, model.dataset, precision)
    else:
        chosen = CompiledEngine(*described_graph(model, cfg), precision)
    usual = (engine, precision) == ('torch', 'fp32')
    return replace(model, engine=chosen, name=model.name if usual else f'{model.name} {engine} {precision}')


def is_exported(path: str | Path) -> bool:
    """Whether a file's suffix is that of an exported one that an engine runs."""
    return Path(path).suffix in {kind.suffix for kind in RUNTIMES.values()}


def load_exported(path: str | Path, engine: str | None = None, precision: str = 'fp32') -> SceneModel:
    """A segmentor of an exported file.

    Args:
        path: File of ``tools/export.py``, ``.onnx`` or ``.xml``.
        engine: A key of :data:`RUNTIMES`; default the one of the suffix.
        precision: See :data:`PRECISIONS`.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: The engine is not installed.
        ValueError: The engine does not run files of this kind or has not the precision, or the file is damaged.
    """
    path = Path(path)
    engine = engine or next(name for name, kind in RUNTIMES.items() if kind.suffix == path.suffix)
    _check_precision(engine, precision)
    if engine not in RUNTIMES or RUNTIMES[engine].suffix != path.suffix:
        takes = f'files {RUNTIMES[engine].suffix}' if engine in RUNTIMES else 'config and checkpoint'
        raise ValueError(f'{engine} takes {takes}, not {path.name}; choose another engine, or leave it out.')
    if not path.is_file():
        raise FileNotFoundError(f'there is no file {path}')
    kind = RUNTIMES[engine]
    try:
        run = kind(path, precision)
    except (ImportError, OSError, ValueError):
        raise
    except Exception as error:  # each of them has errors of its own
        raise ValueError(f'{path} cannot be read by {engine}: {str(error).splitlines()[0]}') from error
    told = Description.from_text(run.text, str(path))
    return SceneModel(None, told.classes, told.palette, told.dataset, told.radiometry, told.window,
                      f'{told.name} {engine} {precision}', FileEngine(run, told))


def _check_precision(engine: str, precision: str) -> None:
    if precision not in PRECISIONS[engine]:
        raise ValueError(f'{engine} does not compute in {precision}; it has {", ".join(PRECISIONS[engine])}.')
