"""Random windows of whole scenes, without decoding the rest of the file."""
import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from s5_mm.images import ImageReadError, require_sides
from s5_mm.rasters import RasterError, open_file, require_size
from s5_mm.registry import TRANSFORMS

from .geotiff import LoadGeoTIFF
from .loading import IGNORED, keep_data_mask, require_mask, size_error, train_ids, whole_ids


@TRANSFORMS.register_module()
class LoadWindow(LoadGeoTIFF):
    """Load a random window of a scene and of its label mask, in the place of loading, labels and crop.

    Only the blocks of the files that the window touches are decoded, so the time depends on the window and not on the
    scene. Values are treated as :class:`LoadGeoTIFF` treats them; percentiles are those of the whole scene and computed
    once in a process.

    Required keys: ``img_path``; used when present: ``seg_map_path`` and the keys that :class:`LoadLabels` uses. Added
    keys: ``img`` (H, W, C) uint8, ``img_shape`` and ``ori_shape`` (H, W) of the window; with labels ``gt_seg_map``
    (H, W) uint8 and its name in ``seg_fields``; if there are pixels without data, ``has_data``.

    Args:
        size (int): Side of the window in pixels; windows of smaller scenes are smaller.
        min_labeled (float): Share of the window that is labeled and has data. Windows with less are drawn anew.
        tries (int): Number of windows that are drawn at most; then the best of them is taken.
        **kwargs: ``bands``, ``value_range`` and ``percentiles`` of :class:`LoadGeoTIFF`.

    Raises:
        ValueError: An option is out of range, scene and mask differ in size, or an id is not a class.
        ImageReadError: See :class:`LoadGeoTIFF`; files must be local.
    """

    def __init__(self, size: int, min_labeled: float = 0.0, tries: int = 10, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if size < 2 or tries < 1 or not 0 <= min_labeled <= 1:
            raise ValueError(f'LoadWindow: size is {size}, tries {tries} and min_labeled {min_labeled}; size must be '
                             'at least 2, tries at least 1, min_labeled a share')
        self.size, self.min_labeled, self.tries = size, min_labeled, tries
        self._known_ranges: dict[tuple[str, float], np.ndarray | None] = {}

    def transform(self, results: dict) -> dict:
        """Add image, sizes and labels, see the class."""
        path, mask = results['img_path'], results.get('seg_map_path')
        try:
            with open_file(path) as source:
                if mask is None:
                    best = self._window(path, source, self._draw(source.shape)), None
                else:
                    with self._mask(results, source.shape) as labels:
                        best = self._best(results, source, labels)
        except (RasterError, RasterioError) as error:
            raise ImageReadError(path, str(error)) from error
        (values, data), ids = best
        img = np.moveaxis(values, 0, -1)
        require_sides(path, img)
        keep_data_mask(results, data)
        results['img'] = np.ascontiguousarray(img[..., ::-1] if len(self.bands) == 3 else img)
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        if ids is not None:
            results['gt_seg_map'] = ids
            results.setdefault('seg_fields', []).append('gt_seg_map')
        return results

    def _best(self, results: dict, source: DatasetReader, labels: DatasetReader) -> tuple:
        """The first window with enough labels, or that with the most: values and data, and ids."""
        best, most = None, -1.0
        for _ in range(self.tries):
            window = self._draw(source.shape)
            ids = train_ids(results['seg_map_path'], whole_ids(results['seg_map_path'], labels.read(1, window=window)),
                            results)
            if (ids != IGNORED).mean() <= most:
                continue
            values, data = self._window(results['img_path'], source, window)
            ids[~data] = IGNORED
            share = (ids != IGNORED).mean()
            if share > most:
                best, most = ((values, data), ids), share
            if share >= self.min_labeled:
                break
        return best

    def _draw(self, shape: Sequence[int]) -> Window:
        """A random window; NumPy's generator is seeded for each sample."""
        height, width = (min(side, self.size) for side in shape)
        top, left = (np.random.randint(0, side - part + 1) for side, part in zip(shape, (height, width), strict=True))
        return Window(left, top, width, height)

    def _window(self, path: str, source: DatasetReader, window: Window) -> tuple[np.ndarray, np.ndarray]:
        require_size(source, self.size)
        key = path, os.stat(path).st_mtime
        if key not in self._known_ranges:
            self._known_ranges[key] = self.ranges(source)
        return self.decode(path, source, self._known_ranges[key], window)

    @contextlib.contextmanager
    def _mask(self, results: dict, shape: Sequence[int]) -> Iterator[DatasetReader]:
        """The open label mask."""
        path = results['seg_map_path']
        with contextlib.ExitStack() as stack:
            try:
                labels = stack.enter_context(open_file(path))
            except RasterError as error:
                raise ImageReadError(path, str(error)) from error
            require_mask(path, labels)
            if labels.shape != tuple(shape):
                raise size_error(results['img_path'], tuple(shape), path, labels.shape)
            yield labels

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(size={self.size}, min_labeled={self.min_labeled}, tries={self.tries}, '
                f'bands={self.bands}, value_range={self.value_range}, percentiles={self.percentiles})')
