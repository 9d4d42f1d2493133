"""Positions of patches in an image, and the objects that they show."""
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import shapely

from data_prep.downloads import PreparationError

TRUNCATED_DIFFICULTY = 2


@dataclass(frozen=True)
class Settings:
    """Settings of the patches, stored in ``OUT/dota_settings.json``; lengths in pixels of a patch.

    Attributes:
        version: Version of the labels.
        classes: Allowed class names of objects, for your own data; None: those of the version.
        size: Side of a patch.
        gap: Overlap of patches.
        rates: Factors on the size of the image.
        pad: Red, green and blue of the padding around images that are smaller than a patch.
        keep: Least visible share of an object that belongs to a patch.
        truncated: What to do with objects with a smaller share: ``'difficult'`` or ``'drop'``.
        drop_empty: Whether to leave out training patches without objects.
        value_range: Values of images with more than 8 bits that become 0 and 255; None: the percentiles 2 and 98 of
            each image.
        link: Whether to link to files instead of copying them.
    """

    version: str = 'v2.0'
    classes: tuple[str, ...] | None = None
    size: int = 1024
    gap: int = 200
    rates: tuple[float, ...] = (1.0, )
    pad: tuple[int, int, int] = (124, 116, 104)
    keep: float = 0.7
    truncated: str = 'difficult'
    drop_empty: bool = False
    value_range: tuple[float, float] | None = None
    link: bool = False

    def __post_init__(self) -> None:
        if self.size < 32:
            raise PreparationError(f'--size is {self.size}; it must be at least 32')
        if not 0 <= self.gap < self.size:
            raise PreparationError(f'--gap is {self.gap}; it must be 0..{self.size - 1}, below the size of a patch')
        if not 0 < self.keep <= 1:
            raise PreparationError(f'--keep is {self.keep:g}; it is a share, above 0 and up to 1')
        if len(set(self.rates)) < len(self.rates) or not all(0.01 <= rate < 32 for rate in self.rates):
            raise PreparationError(f'--rates are {self.rates}; they must differ and be from 0.01 to below 32')
        if not all(0 <= value <= 255 for value in self.pad):
            raise PreparationError(f'--pad is {self.pad}; values are 0..255')
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            raise PreparationError(f'--value-range is {self.value_range}; its first value must be below its second')


class PatchWindow(NamedTuple):
    """Position of a patch: left, top, width and height in the image scaled by ``rate``, without padding."""

    rate: float
    left: int
    top: int
    width: int
    height: int

    def name(self, image: str, size: int) -> str:
        """Name of the patch; ``size`` is its side including padding."""
        scale = str(size) if self.rate == 1 else str(float(self.rate))
        return f'{image}__{scale}__{self.left}___{self.top}'

    def to_patch(self, polygons: np.ndarray) -> np.ndarray:
        """Transform corners (N, 8) from pixels of the file to pixels of the patch."""
        return polygons * self.rate - np.array([self.left, self.top] * 4)

    def on_file(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in pixels of the file."""
        left, top, right, bottom = (self.left, self.top, self.left + self.width, self.top + self.height)
        return left / self.rate, top / self.rate, right / self.rate, bottom / self.rate


def find_patches(image_size: tuple[int, int], settings: Settings) -> Iterator[PatchWindow]:
    """All patches of an image of (height, width) pixels."""
    from s5_mm.tiling import windows  # takes seconds to import, which --help should not

    for rate in settings.rates:
        height, width = (max(1, int(side * rate + 1e-6)) for side in image_size)
        for window in windows((height, width), settings.size, settings.size - settings.gap):
            yield PatchWindow(rate, window.left, window.top, window.width, window.height)


class ObjectShares:
    """Visible shares of an image's objects in patches.

    Polygons are replaced by their convex hulls, which also exist if sides cross.

    Args:
        polygons: (N, 8), pixels, also outside the image.
        image_size: (height, width).
    """

    def __init__(self, polygons: np.ndarray, image_size: tuple[int, int]) -> None:
        self._hulls = shapely.convex_hull(shapely.multipoints(polygons.reshape(-1, 4, 2)))
        self._bounds = shapely.bounds(self._hulls).reshape(-1, 4)
        self._centers = polygons.reshape(-1, 4, 2).mean(1)
        self._visible = shapely.area(shapely.intersection(self._hulls, shapely.box(0, 0, *image_size[::-1])))

    def of(self, patch: PatchWindow) -> np.ndarray:
        """Share of each object's part in the image that is in the patch, (N, ), in [0, 1].

        For objects without area it is 1 if their center is in the patch, otherwise 0.
        """
        left, top, right, bottom = patch.on_file()
        near = ((self._bounds[:, :2] <= (right, bottom)) & (self._bounds[:, 2:] >= (left, top))).all(1)
        shown = np.zeros(len(near))
        shown[near] = shapely.area(shapely.intersection(self._hulls[near], shapely.box(left, top, right, bottom)))
        inside = ((self._centers >= (left, top)) & (self._centers <= (right, bottom))).all(1)
        flat = shapely.area(self._hulls) == 0
        return np.where(flat, inside, shown / np.where(self._visible > 0, self._visible, 1))


def patch_lines(polygons: np.ndarray, names: Sequence[str], difficulties: Sequence[int], shares: np.ndarray,
                patch: PatchWindow, settings: Settings) -> tuple[list[str], int]:
    """Label lines of a patch, and the number of objects that belong to it.

    Args:
        polygons: (N, 8) pixels of the file.
        names: Class of each.
        difficulties: Difficulty of each.
        shares: See :meth:`ObjectShares.of`.
        patch: Position of the patch.
        settings: What to do with truncated objects.

    Returns:
        Lines, with coordinates in full precision so that those of the file can be restored; and the number of objects.
    """
    # Shares are quotients of areas in float64; an object that fits exactly must not fail by the last digit.
    belongs = shares >= settings.keep - 1e-9
    written = belongs if settings.truncated == 'drop' else shares > 0
    moved, lines = patch.to_patch(polygons), []
    for index in np.flatnonzero(written):
        difficulty = difficulties[index] if belongs[index] else TRUNCATED_DIFFICULTY
        corners = ' '.join(repr(value) for value in moved[index].tolist())
        lines.append(f'{corners} {names[index]} {difficulty}\n')
    return lines, int(belongs.sum())
