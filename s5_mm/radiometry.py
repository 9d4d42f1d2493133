"""How values of more than 8 bits become 8-bit color, the same for training and for prediction."""
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Stretch:
    """A linear map of values to 0 ... 255, for each band.

    Attributes:
        percentiles: Of each band of each image, on pixels with data (see :func:`has_data`): the first becomes 0, the
            second 255.
        value_range: Fixed values that become 0 and 255, the same for all images: (low, high) for all bands, or such a
            pair for each band. Overrides ``percentiles``.
    """

    percentiles: tuple[float, float] = (2.0, 98.0)
    value_range: tuple[float, float] | tuple[tuple[float, float], ...] | None = None

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: The percentiles or the values do not rise, or are out of range.
        """
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(f'percentiles are {low} and {high}; they must rise and lie within 0..100')
        if self.value_range is not None:
            pairs = np.asarray(self.value_range, dtype=np.float64)
            if pairs.ndim not in (1, 2) or pairs.shape[-1] != 2 or not (pairs[..., 0] < pairs[..., 1]).all():
                raise ValueError(f'the value range is {self.value_range}; it must be (low, high) with low < high, or '
                                 'such a pair for each band')

    def fixed_ranges(self, num_bands: int) -> np.ndarray:
        """``value_range`` for each band.

        Args:
            num_bands: Bands of the images.

        Returns:
            (bands, 2), float64, values that become 0 and 255.

        Raises:
            ValueError: There are pairs for another number of bands.
        """
        pairs = np.atleast_2d(np.asarray(self.value_range, dtype=np.float64))
        if len(pairs) not in (1, num_bands):
            raise ValueError(f'the value range has {len(pairs)} pairs (low, high); give one, or one for each of the '
                             f'{num_bands} bands')
        return np.broadcast_to(pairs, (num_bands, 2))

    def percentile_ranges(self, values: np.ndarray, marked: np.ndarray) -> np.ndarray:
        """``percentiles`` of an image.

        Args:
            values: (bands, H, W).
            marked: (H, W), bool, see :func:`has_data`.

        Returns:
            (bands, 2), float64, values that become 0 and 255; 0 and 1 for an image without data.
        """
        data = has_data(values, marked)
        if not data.any():
            return np.tile((0.0, 1.0), (len(values), 1))
        return np.percentile(values[:, data].astype(np.float64), self.percentiles, axis=1).T

    def to_dict(self) -> dict[str, Any]:
        """The attributes, as JSON can hold them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> 'Stretch':
        """The stretch that :meth:`to_dict` recorded, also after a way through JSON.

        Args:
            record: ``percentiles`` and ``value_range``.
        """
        pairs = record['value_range']
        if pairs is not None:
            pairs = tuple(tuple(pair) if isinstance(pair, (list, tuple)) else pair for pair in pairs)
        return cls(tuple(record['percentiles']), pairs)


def has_data(values: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Which pixels have data.

    Args:
        values: (bands, H, W).
        marked: (H, W), bool, where the file itself says so (no-data value, mask, transparency).

    Returns:
        (H, W), bool: marked, finite in all bands, and not 0 in all bands, which is the usual collar of a scene.
    """
    return marked & (values != 0).any(axis=0) & np.isfinite(values).all(axis=0)


def to_eight_bits(values: np.ndarray, ranges: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Stretch values linearly.

    Args:
        values: (bands, H, W).
        ranges: (bands, 2), float64, values that become 0 and 255.
        marked: (H, W), bool, see :func:`has_data`.

    Returns:
        (bands, H, W), uint8, rounded and clipped; 0 where a value is NaN or the file has no data.
    """
    image = np.zeros(values.shape, np.uint8)
    # Band by band, since float64 takes several times the memory of the values.
    for out, band, (low, high) in zip(image, values, ranges, strict=True):
        contrast = max(high - low, np.finfo(np.float32).tiny)
        scaled = np.nan_to_num((band.astype(np.float64) - low) / contrast * 255, nan=0.0)
        out[marked] = scaled[marked].clip(0, 255).round()
    return image
