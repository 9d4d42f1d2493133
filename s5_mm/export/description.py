"""What an exported file tells about its model."""
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from s5_mm.radiometry import Radiometry

KEY = 's5_mm'
"""Under which every format keeps the text."""


@dataclass(frozen=True)
class Description:
    """All that is needed beside the graph to predict with it.

    The graph has one input ``images`` (B, C, H, W) and one output ``probabilities`` (B, K, H, W), float32; H and W are
    multiples of ``divisor``, at least 4 times as large.

    Attributes:
        name: Name of the config and checksum of the checkpoint.
        dataset: Which of the model's datasets, if it has several.
        classes: Names of the K classes.
        palette: Red, green and blue of each.
        radiometry: How the training images were read; the input has the same bands in the same order.
        window: Side of the training images in pixels.
        divisor: Sides of images must be multiples of it.
        mean: Of each of the C bands, for normalization.
        std: Likewise.
        preprocessing: Whether the graph normalizes: its input is uint8 then, 0 ... 255. Otherwise it is float32,
            ``(values - mean) / std``.
        versions: Packages that the file was made with.
        check: How the file's results agreed with torch's, see :class:`s5_mm.export.check.Agreement`.
    """

    name: str
    dataset: str | None
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    radiometry: Radiometry
    window: int
    divisor: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    preprocessing: bool = True
    versions: Mapping[str, str] = field(default_factory=dict)
    check: Mapping[str, float] = field(default_factory=dict)

    def inputs(self, images: np.ndarray) -> np.ndarray:
        """What the graph takes.

        Args:
            images: (B, C, H, W), uint8, three bands as blue, green, red.

        Raises:
            ValueError: They have another number of bands.
        """
        if images.shape[1] != len(self.mean):
            raise ValueError(f'the images have {images.shape[1]} bands, {self.name} takes {len(self.mean)}; choose '
                             'them with --bands.')
        images = np.ascontiguousarray(images[:, ::-1] if images.shape[1] == 3 else images)
        if self.preprocessing:
            return images
        mean, std = (np.array(values, np.float32)[:, None, None] for values in (self.mean, self.std))
        return (images - mean) / std

    def to_text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self) | dict(radiometry=self.radiometry.to_dict()), ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str | None, source: str) -> 'Description':
        """What :meth:`to_text` wrote.

        Args:
            text: JSON, or ``None`` if the file has none.
            source: The file, for messages.

        Raises:
            ValueError: The text is missing, damaged or impossible.
        """
        if text is None:
            raise ValueError(f'{source} does not tell its classes and bands; export the model with tools/export.py.')
        try:
            return cls(**_checked(json.loads(text)))
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(f'{source} has a damaged description ({type(error).__name__}: {error}); export the model '
                             'anew with tools/export.py.') from error


def _checked(told: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a description, of the right types.

    Raises:
        ValueError: One is not; other errors of Python come from what is no such record at all.
    """
    classes, palette = tuple(told['classes']), tuple(tuple(color) for color in told['palette'])
    mean, std = (tuple(float(value) for value in told[name]) for name in ('mean', 'std'))
    texts = (told['name'], *classes, *([] if told['dataset'] is None else [told['dataset']]))
    right = (
        isinstance(told['classes'], list) and all(isinstance(text, str) for text in texts)
        and 1 <= len(classes) <= 255 and len(palette) == len(classes)
        and all(_are_integers(color, 0, 255) and len(color) == 3 for color in palette)
        and _are_integers((told['window'], told['divisor']), 1, 1 << 20) and len(mean) == len(std) > 0
        and np.isfinite((mean, std)).all() and min(std) > 0 and isinstance(told['preprocessing'], bool))
    if not right:
        raise ValueError('a value is of the wrong type or out of range')
    return told | dict(classes=classes, palette=palette, mean=mean, std=std,
                       radiometry=Radiometry.from_dict(told['radiometry']))


def _are_integers(values: Sequence[Any], low: int, high: int) -> bool:
    return all(type(value) is int and low <= value <= high for value in values)
