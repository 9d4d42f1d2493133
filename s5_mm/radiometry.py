"""How values of more than 8 bits become 8-bit color, the same for training and for prediction."""
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

ROWS_AT_A_TIME = 64
RECORD = 'radiometry'
"""Key of the record in a checkpoint's ``meta``."""


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


def has_data(values: np.ndarray, marked: np.ndarray, black: bool = False) -> np.ndarray:
    """Which pixels have data.

    Args:
        values: (bands, H, W).
        marked: (H, W), bool, where the file itself says so (no-data value, mask, transparency).
        black: Whether pixels that are 0 in all bands have data; default no, since that is the usual collar of a scene.

    Returns:
        (H, W), bool: marked, finite in all bands, and unless ``black`` not 0 in all bands.
    """
    data = marked.copy() if black else marked & values.any(axis=0)
    return data & np.isfinite(values).all(axis=0) if values.dtype.kind == 'f' else data


def to_eight_bits(values: np.ndarray, ranges: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Stretch values linearly.

    Args:
        values: (bands, H, W).
        ranges: (bands, 2), float64, values that become 0 and 255.
        marked: (H, W), bool, see :func:`has_data`.

    Returns:
        (bands, H, W), uint8, rounded and clipped; 0 where a value is NaN or the file has no data.
    """
    image = np.empty(values.shape, np.uint8)
    for out, band, (low, high) in zip(image, values, ranges, strict=True):
        if band.dtype in (np.uint16, np.int16):
            # A table of all 65536 values, in the order of their bits.
            table = _scaled(np.arange(1 << 16, dtype=np.uint16).view(band.dtype), low, high)
            out[:] = table[band.view(np.uint16)]
        else:
            # Few rows at a time, since float64 takes several times the memory of the values.
            for top in range(0, len(band), ROWS_AT_A_TIME):
                out[top:top + ROWS_AT_A_TIME] = _scaled(band[top:top + ROWS_AT_A_TIME], low, high)
    return np.multiply(image, marked, out=image)


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values of any shape as uint8."""
    contrast = max(high - low, np.finfo(np.float32).tiny)
    scaled = np.nan_to_num((values.astype(np.float64) - low) / contrast * 255, nan=0.0)
    return scaled.clip(0, 255).round().astype(np.uint8)


@dataclass(frozen=True)
class Radiometry:
    """What the values of a model's training images were made to, so that a scene is read in the same way.

    Attributes:
        bands: Numbers (from 1) or names of a file's bands, in the model's order; ``None``: red, green and blue as the
            file names them.
        stretch: How values of more than 8 bits became 8 bits; ``None``: the images had 8 bits.
    """

    bands: tuple[int | str, ...] | None = None
    stretch: Stretch | None = None

    def to_dict(self) -> dict[str, Any]:
        """The attributes, as JSON and weights-only files can hold them."""
        return dict(bands=self.bands and list(self.bands), stretch=self.stretch and self.stretch.to_dict())

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> 'Radiometry':
        """What :meth:`to_dict` recorded, also after a way through JSON.

        Args:
            record: ``bands`` and ``stretch``.
        """
        bands, stretch = record.get('bands'), record.get('stretch')
        return cls(bands and tuple(bands), stretch and Stretch.from_dict(stretch))

    def __str__(self) -> str:
        """For messages."""
        bands = 'red green blue' if self.bands is None else ' '.join(map(str, self.bands))
        if self.stretch is None:
            return f'bands {bands}, 8 bits as they are'
        if self.stretch.value_range is not None:
            return f'bands {bands}, values {self.stretch.value_range} to 0 ... 255'
        return f'bands {bands}, percentiles {self.stretch.percentiles} of each image to 0 ... 255'


def write_records(records: Mapping[str, Radiometry]) -> str:
    """What a checkpoint keeps, as text, which every format of files can hold.

    Args:
        records: Dataset -> how its images were read; of a model of one dataset under an empty name.
    """
    return json.dumps({name: radiometry.to_dict() for name, radiometry in records.items()})


def read_records(meta: Mapping[str, Any], source: str) -> dict[str, Radiometry]:
    """What :func:`write_records` wrote.

    Args:
        meta: ``meta`` of a checkpoint.
        source: The file, for the message.

    Returns:
        Nothing for checkpoints without the record.

    Raises:
        ValueError: The record is damaged.
    """
    if RECORD not in meta:
        return {}
    try:
        return {name: Radiometry.from_dict(record) for name, record in json.loads(meta[RECORD]).items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f'Checkpoint {source} has a damaged record of how its training images were read '
                         f'({type(error).__name__}: {error}); get it anew.') from error
