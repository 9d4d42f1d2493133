"""Segmentation of scenes of any size: overlapping windows, averaged, written as georeferenced rasters."""
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.dist import barrier, get_dist_info, is_main_process
from mmengine.logging import print_log
from torch import Tensor
from tqdm import tqdm

from s5_mm.launching import agreed, failing_together
from s5_mm.radiometry import Radiometry
from s5_mm.rasters import Raster, RasterError, open_raster
from s5_mm.version import __version__

from .grid import Grid, Panel
from .merger import Merger
from .model import SceneModel
from .reading import Line, read_lines
from .results import begun
from .sink import NODATA, Layer, Parts, assemble

COLUMNS_AT_A_TIME = 8192
"""Width of the panels that a scene is predicted in, so that memory does not depend on its width."""

BATCH_SIZE = 4
PIXELS_AT_A_TIME = 512 * 512
"""Of the windows in a forward pass on a CPU, which larger batches do not make faster, but memory does grow."""


@dataclass(frozen=True)
class SegmentationSettings:
    """How a scene is divided into windows and predicted.

    Attributes:
        window: Side of a window in pixels; ``None``: that of the model's training images.
        overlap: Pixels that neighboring windows share; ``None``: half of the window.
        blend: ``'hann'``: the windows' probabilities are averaged with weights that fall smoothly to the border.
            ``'center'``: each pixel is that of the window whose center is nearest.
        flip: Whether to average with the horizontally mirrored windows.
        batch_size: Windows in a forward pass; ``None``: 4, on a CPU as many as have :data:`PIXELS_AT_A_TIME` together.
        confidence: Whether the probability of the predicted class is written, too.
        probabilities: Whether the probabilities of all classes are written, too.
        black: Whether pixels that are 0 in all bands are predicted; ``None``: see
            :func:`s5_mm.rasters.open_raster`.
    """

    window: int | None = None
    overlap: int | None = None
    blend: str = 'hann'
    flip: bool = False
    batch_size: int | None = None
    confidence: bool = False
    probabilities: bool = False
    black: bool | None = None

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: A number is out of range.
        """
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f'batch_size is {self.batch_size}; it must be at least 1.')
        if self.window is not None and self.window < 1:
            raise ValueError(f'window is {self.window}; it must be at least 1 px.')

    def completed(self, model: SceneModel) -> 'SegmentationSettings':
        """With the numbers that the model decides.

        Args:
            model: The model.

        Raises:
            ValueError: The model does not take windows of this size.
        """
        window = self.window or model.window
        if window % model.engine.divisor:
            raise ValueError(f'the window is {window} px; the model takes multiples of {model.engine.divisor}.')
        most = PIXELS_AT_A_TIME // window**2 if model.engine.device.type == 'cpu' else BATCH_SIZE
        return replace(self, window=window, overlap=window // 2 if self.overlap is None else self.overlap,
                       batch_size=self.batch_size or min(max(most, 1), BATCH_SIZE))


class SegmentedScene(NamedTuple):
    """Files of a scene's results.

    Attributes:
        classes: Ids of classes, GeoTIFF, 255 without data.
        confidence: Probability of the predicted class in percent, likewise; or ``None``.
        probabilities: A band for each class, likewise; or ``None``.
    """

    classes: Path
    confidence: Path | None
    probabilities: Path | None


def segment(model: SceneModel, scene: str | Path, out: str | Path, settings: SegmentationSettings | None = None,
            radiometry: Radiometry | None = None, progress: bool = True) -> SegmentedScene:
    """Predict the classes of a scene and write them as GeoTIFF.

    A call that was stopped goes on when it is repeated, and the result is the same. What is complete is not predicted
    again; a later call may add confidence or probabilities. Memory depends on the window and the number of classes,
    not on the scene.

    Args:
        model: A segmentor, see :func:`s5_mm.scenes.load_model`.
        scene: JPEG, PNG, (Geo)TIFF, BMP or VRT; an address or a path of GDAL's.
        out: Folder of the results ``NAME.tif``, ``NAME_confidence.tif`` and ``NAME_probabilities.tif``, and of
            ``NAME.json``, which records what they were made with.
        settings: How to predict.
        radiometry: How to read the scene; default as the model's training images.
        progress: Whether to show a progress bar.

    Returns:
        The files.

    Raises:
        FolderInUseError: Another process predicts this scene into this folder.
        RasterError: The scene cannot be read.
        ValueError: A setting does not fit the model, or results with other settings, or other files, are there.
    """
    settings = (settings or SegmentationSettings()).completed(model)
    radiometry = radiometry or model.radiometry
    with open_raster(scene, radiometry.bands, radiometry.stretch, window=1, black=settings.black) as raster, begun(
            scene, out, _record(model, raster, radiometry, settings)) as (base, parts):
        layers = _layers(model, settings, base)
        todo = agreed([layer for layer in layers if not layer.path.exists()])
        if todo:
            print_log(f'{scene}: {radiometry}', 'current')
            grid = Grid(raster.size, settings.window, settings.overlap, settings.blend)
            panels = grid.panels(COLUMNS_AT_A_TIME)
            with failing_together(RasterError):
                _predict_panels(model, raster, panels, settings, parts, progress and is_main_process())
            for layer in todo if is_main_process() else ():
                assemble(layer, parts, (len(panels), len(grid.tops)), raster.size, raster.crs, raster.transform)
            barrier()
    files = {layer.path.stem.removeprefix(base.name): layer.path for layer in layers}
    return SegmentedScene(files[''], files.get('_confidence'), files.get('_probabilities'))


def _record(model: SceneModel, raster: Raster, radiometry: Radiometry, settings: SegmentationSettings) -> dict:
    """What decides on the values of the results; which of them are written does not."""
    record = dict(size=raster.size, model=model.name, dataset=model.dataset, classes=model.classes, bands=raster.bands,
                  radiometry=radiometry.to_dict(), s5_mm=__version__, **asdict(settings))
    return {name: value for name, value in record.items() if name not in ('confidence', 'probabilities')}


def _layers(model: SceneModel, settings: SegmentationSettings, base: Path) -> list[Layer]:
    tags = dict(CLASSES=json.dumps(model.classes, ensure_ascii=False), MODEL=model.name,
                SOFTWARE=f's5_mm {__version__}')
    layers = [Layer(base.with_name(f'{base.name}.tif'), ('classes', ), 'mode', ('class', ), tags, model.classes,
                    model.palette)]
    if settings.confidence:
        layers.append(Layer(base.with_name(f'{base.name}_confidence.tif'), ('confidence', ), 'average',
                            ('confidence in percent', ), tags))
    if settings.probabilities:
        layers.append(Layer(base.with_name(f'{base.name}_probabilities.tif'), _probability_names(model), 'average',
                            model.classes, tags))
    return layers


def _probability_names(model: SceneModel) -> tuple[str, ...]:
    return tuple(f'probability_{index}' for index in range(len(model.classes)))


def _array_names(model: SceneModel, settings: SegmentationSettings) -> tuple[str, ...]:
    return 'classes', 'confidence', *(_probability_names(model) if settings.probabilities else ())


def _predict_panels(model: SceneModel, raster: Raster, panels: Sequence[Panel], settings: SegmentationSettings,
                    parts: Parts, progress: bool) -> None:
    """Predict the lines of panels that are not there yet; each process of a launcher takes a share of them."""
    lines = range(len(panels[0].grid.tops))
    names = _array_names(model, settings)
    missing = agreed([(index, line) for index in range(len(panels)) for line in lines
                      if not parts.has((index, line), names)])
    rank, processes = get_dist_info()
    # Successive lines, since the first one of a share needs those before it.
    own = missing[len(missing) * rank // processes:len(missing) * (rank + 1) // processes]
    windows = sum(len(panels[index].own) for index, _ in own)
    with tqdm(total=windows, unit='window', disable=None if progress else True) as bar:
        for index, panel in enumerate(panels):
            for run in _runs([line for of, line in own if of == index]):
                for line, results in _predict_run(model, raster, panel, run, settings):
                    parts.write((index, line), results)
                    bar.update(len(panel.own))


def _runs(lines: Sequence[int]) -> list[range]:
    """Successive lines."""
    groups = groupby(enumerate(lines), key=lambda item: item[1] - item[0])
    found = [[line for _, line in group] for _, group in groups]
    return [range(run[0], run[-1] + 1) for run in found]


def _predict_run(model: SceneModel, raster: Raster, panel: Panel, run: range,
                 settings: SegmentationSettings) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Results (rows, columns of the panel), uint8, of successive lines."""
    height, width = raster.size
    merger = Merger(panel, len(model.classes), model.device)
    columns = slice(panel.columns.start, min(panel.columns.stop, width - panel.left))
    # The rows of the first line that are missing are completed by earlier lines, which are predicted again.
    for line in read_lines(raster, panel, range(panel.grid.first_touching(run[0]), run[-1] + 1)):
        results = _merged(model, line, panel, merger, settings)
        if line.index in run:
            rows = height - panel.grid.tops[line.index]
            yield line.index, {name: values[:rows, columns] for name, values in results.items()}


def _merged(model: SceneModel, line: Line, panel: Panel, merger: Merger,
            settings: SegmentationSettings) -> dict[str, np.ndarray]:
    """Results (rows, columns of the panel's windows), uint8, of the rows that a line completes."""
    shape = panel.grid.finished_rows(line.index), panel.width
    results = {name: np.full(shape, NODATA, np.uint8) for name in _array_names(model, settings)}
    for place, scores in merger.merge_line(line.index, _window_scores(model, line, panel, settings)):
        confidence, classes = scores.max(dim=0)
        results['classes'][:, place] = classes.to(torch.uint8).cpu().numpy()
        results['confidence'][:, place] = _percent(confidence)
        if settings.probabilities:
            for name, values in zip(_probability_names(model), _percent(scores), strict=True):
                results[name][:, place] = values
    for values in results.values():
        values[~line.data[:len(values)]] = NODATA
    return results


def _percent(probabilities: Tensor) -> np.ndarray:
    return (probabilities * 100).round().clamp(0, 100).to(torch.uint8).cpu().numpy()


def _window_scores(model: SceneModel, line: Line, panel: Panel,
                   settings: SegmentationSettings) -> Iterator[Tensor | None]:
    """Probabilities (K, side, side) of the windows of a line; ``None`` for windows without data."""
    full = [window for window in panel.windows if line.data[:, panel.place(window)].any()]
    batches = iter([full[first:first + settings.batch_size] for first in range(0, len(full), settings.batch_size)])
    filled, scores = set(full), {}
    for window in panel.windows:
        if window in filled and not scores:
            batch = next(batches)
            images = np.stack([line.pixels[:, :, panel.place(chosen)] for chosen in batch])
            scores = dict(zip(batch, class_probabilities(model, images, settings), strict=True))
        # Nobody keeps a batch while the next one is computed.
        yield scores.pop(window, None)


@torch.inference_mode()
def class_probabilities(model: SceneModel, images: np.ndarray, settings: SegmentationSettings) -> Tensor:
    """Probabilities of the classes.

    Args:
        model: A segmentor.
        images: (B, C, H, W), uint8, three bands as blue, green, red.
        settings: ``flip`` counts.

    Returns:
        (B, K, H, W), float32.

    Raises:
        ValueError: The network has another number of classes than the dataset.
    """
    scores = model.engine.probabilities(images)
    if settings.flip:
        scores.add_(model.engine.probabilities(images[..., ::-1]).flip(-1)).div_(2)
    if scores.shape[1] != len(model.classes):
        raise ValueError(f'the model has {scores.shape[1]} classes, the dataset {len(model.classes)} '
                         f'({", ".join(model.classes)}); use the config that the model was trained with.')
    return scores
