"""Write a segmentor as a file that other programs run, and compare the file with torch."""
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch.export import Dim, ExportedProgram

from s5_mm.checkpoints.writing import check_target
from s5_mm.hosts import swaps_channels
from s5_mm.scenes import SceneModel, load_model
from s5_mm.version import __version__

from .check import LEAST, Agreement, Run, agreement, examples
from .description import Description
from .formats import FORMATS
from .graph import SegmentationGraph
from .plain import plain_segmentor

TOLERANCE = 1e-3
"""Largest difference of a probability from torch's."""
AGREEMENT = 0.999
"""Least share of pixels with torch's class."""


def export(config: str | Path | Config, checkpoint: str | Path, out: str | Path, kind: str = 'onnx',
           dataset: str | None = None, preprocessing: bool = True, tolerance: float = TOLERANCE,
           force: bool = False) -> Description:
    """Export a segmentor and compare the file with torch before it gets its name.

    Args:
        config: File, or config, of a segmentor of this package.
        checkpoint: Its weights.
        out: The file; its suffix is that of ``kind``.
        kind: A key of :data:`s5_mm.export.FORMATS`.
        dataset: Which dataset, of several; its expert is merged.
        preprocessing: Whether the file takes bytes and normalizes them itself.
        tolerance: Largest difference of a probability from torch's.
        force: Whether to replace a file.

    Returns:
        What the file tells of itself.

    Raises:
        FileExistsError: The file exists and ``force`` is not set.
        ImportError: A package of the format is missing, or torch is too old.
        ValueError: The model cannot be exported, or the file's results differ from torch's.
    """
    if not hasattr(torch.compiler, 'is_exporting'):
        raise ImportError(f'torch {torch.__version__} cannot export programs for images of any size; use 2.7 or newer.')
    form, target = FORMATS[kind], Path(out)
    check_target(str(target), force, (form.suffix, ))
    cfg = config if isinstance(config, Config) else Config.fromfile(config)
    graph, told = described_graph(load_model(cfg, checkpoint, dataset, 'cpu'), cfg.model, preprocessing)
    versions = {name: version(name) for name in ('torch', *form.packages)} | dict(s5_mm=__version__)
    converted = form.convert(traced(graph, told))
    target.parent.mkdir(parents=True, exist_ok=True)
    # A folder beside the file, since formats of several files name each other.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f'{target.name}.', suffix='.part') as folder:
        unfinished = Path(folder) / target.name
        form.save(converted, replace(told, versions=versions).to_text(), unfinished)
        found = checked(form.open(unfinished), graph, told, tolerance)
        told = replace(told, versions=versions, check=found._asdict())
        form.save(converted, told.to_text(), unfinished)
        # The file that names the others comes last.
        for path in sorted(Path(folder).iterdir(), key=lambda path: path.name == target.name):
            os.replace(path, target.parent / path.name)
    return told


def described_graph(model: SceneModel, cfg: Mapping[str, Any],
                    preprocessing: bool = True) -> tuple[SegmentationGraph, Description]:
    """A model as a function of images, and what must be known beside it.

    Args:
        model: A segmentor.
        cfg: Config of its network.
        preprocessing: Whether the function takes bytes and normalizes them itself.

    Raises:
        ValueError: It does not predict by the forward of an encoder and one head.
    """
    segmentor = plain_segmentor(model.network, cfg, model.dataset)
    normalizer = model.network.data_preprocessor
    channels = getattr(segmentor.backbone, 'in_channels', 3)
    mean, std = (_of_bands(getattr(normalizer, name, None), channels, unless)
                 for name, unless in (('mean', 0.0), ('std', 1.0)))
    # Scenes have red, green and blue in this order; pipelines load images as blue, green, red.
    backward = channels == 3 and not swaps_channels(normalizer)
    if backward:
        mean, std = mean[::-1], std[::-1]
    graph = SegmentationGraph(segmentor, mean, std, preprocessing, backward).to(model.device).eval()
    return graph, Description(model.name, model.dataset, model.classes, model.palette, model.radiometry, model.window,
                              model.engine.divisor, mean, std, preprocessing)


def traced(graph: SegmentationGraph, told: Description) -> ExportedProgram:
    """The graph as a program of torch for any number and size of images.

    Args:
        graph: On the CPU.
        told: What is known about it.

    Raises:
        ValueError: It computes in another way for other sizes.
    """
    # No side is that of the training images, for which position tables need no resizing.
    side = max(LEAST, -(-told.window // told.divisor))
    shape = (2, len(told.mean), (side + 1) * told.divisor, (side + 2) * told.divisor)
    example = torch.zeros(shape, dtype=torch.uint8 if told.preprocessing else torch.float32)
    sides = {2 + axis: told.divisor * Dim(name, min=LEAST) for axis, name in enumerate(('rows', 'columns'))}
    try:
        with torch.inference_mode():
            return torch.export.export(graph, (example, ), dynamic_shapes=dict(images={0: Dim('batch')} | sides))
    except (RuntimeError, ValueError) as error:
        raise ValueError(f'{told.name} cannot be traced for images of any size: '
                         f'{str(error).splitlines()[0]}') from error


def checked(run: Run, graph: SegmentationGraph, told: Description, tolerance: float) -> Agreement:
    """Compare a file with torch and say how they agree.

    Args:
        run: Runs the file.
        graph: What it was made of.
        told: What is known about it.
        tolerance: Largest difference of a probability.

    Raises:
        ValueError: The difference is larger, or less than :data:`AGREEMENT` of the pixels have the same class.
    """
    images = examples(len(told.mean), told.window, told.divisor)
    found = agreement(run, graph, [told.inputs(one) for one in images])
    if found.largest_difference > tolerance or found.same_classes < AGREEMENT:
        raise ValueError(f'the file does not compute what torch computes, and is not kept: {found}; allowed are '
                         f'{tolerance:g} and at least {AGREEMENT:.1%}.')
    print_log(f'{told.name}: {found}', 'current')
    return found


def _of_bands(values: torch.Tensor | None, channels: int, unless: float) -> tuple[float, ...]:
    """A value for each band, as its text says it in single precision."""
    if values is None:
        return (unless, ) * channels
    return tuple(float(str(value)) for value in values.flatten().expand(channels).cpu().numpy())
