"""Test protocols: how the scores of an image come from a network that maps images to logits.

Shapes: B images, K classes, H x W pixels. mmseg has the first two modes inside ``EncoderDecoder``; here they are
functions of a forward, so that every dataset of one model can have its own, and the published ones are options.
"""
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator

import torch
from mmengine.utils import is_tuple_of, to_2tuple
from torch import Tensor
from torch.nn.functional import interpolate, pad

from s5_mm.tiling import window_starts

LogitsOf = Callable[[Tensor], Tensor]
"""Images (N, 3, h, w) -> logits (N, K, h, w)."""

STYLES = ('mmseg', 'published')


@dataclasses.dataclass(frozen=True)
class WholeImage:
    """The image in one piece.

    Attributes:
        flip: Whether to average with the scores of the horizontally mirrored image. The two *softmax* maps are
            averaged, as the published code does, and the scores are then probabilities instead of logits.
    """

    flip: bool = False

    def __call__(self, logits_of: LogitsOf, inputs: Tensor, img_metas: list[dict]) -> Tensor:
        """Score images.

        Args:
            logits_of: The network, with the decoder of the images' dataset.
            inputs: Normalized and padded images, (B, 3, H, W).
            img_metas: Their metainfo; ``img_padding_size`` (left, right, top, bottom) is used if it is there.

        Returns:
            Scores (B, K, H, W), whose argmax is the prediction.
        """
        return self.score(logits_of, inputs)

    def score(self, logits_of: LogitsOf, images: Tensor) -> Tensor:
        """Scores (N, K, h, w) of images or windows (N, 3, h, w): logits, or with ``flip`` the mean softmax."""
        if not self.flip:
            return logits_of(images)
        scores = _softmax(logits_of(images))
        return scores.add_(_softmax(logits_of(images.flip(-1))).flip(-1)).div_(2)


@dataclasses.dataclass(frozen=True)
class SlidingWindow(WholeImage):
    """Overlapping windows.

    Attributes:
        crop_size: Height and width of a window in pixels; an image smaller than it is one window.
        stride: Vertical and horizontal step, at most the window's size, so that no pixel is left out.
        style: ``'mmseg'``: the mean logits of distinct windows, the last of them moved inside. ``'published'``: the
            sum of their softmax; windows start every ``stride`` as long as the start is not beyond the image's end,
            each moved inside, and one that is met several times counts as often (1024 px in windows of 512 every 256:
            starts 0, 256, 512, 512, 512).
    """

    crop_size: tuple[int, int] = (512, 512)
    stride: tuple[int, int] = (256, 256)
    style: str = 'mmseg'

    def __post_init__(self) -> None:
        for name in ('crop_size', 'stride'):
            object.__setattr__(self, name, _positive_pair(name, getattr(self, name)))
        if any(step > side for step, side in zip(self.stride, self.crop_size, strict=True)):
            raise ValueError(f'test_cfg: stride {self.stride} is above crop_size {self.crop_size}, which leaves pixels '
                             'without a prediction; make it at most as large.')
        if self.style not in STYLES:
            raise ValueError(f'test_cfg: style is {self.style!r}; choose from {list(STYLES)}.')

    def __call__(self, logits_of: LogitsOf, inputs: Tensor, img_metas: list[dict]) -> Tensor:
        """Score images, see :class:`WholeImage`. One map of scores is kept, however many windows there are."""
        scores = None
        published = self.style == 'published'
        times = inputs.new_zeros(inputs.shape[-2:], dtype=torch.float32)
        for rows, columns, count in self.windows(*inputs.shape[-2:]):
            part = self.score(logits_of, inputs[..., rows, columns])
            if published and not self.flip:
                part = _softmax(part)
            if scores is None:
                scores = part.new_zeros((*part.shape[:2], *inputs.shape[-2:]), dtype=torch.float32)
            scores[..., rows, columns].add_(part, alpha=count)
            times[rows, columns] += count
        return scores if published else scores.div_(times)

    def windows(self, height: int, width: int) -> Iterator[tuple[slice, slice, int]]:
        """Rows, columns and number of times of each distinct window of an image of ``height`` x ``width`` px."""
        columns = _starts(width, self.crop_size[1], self.stride[1], self.style)
        for top, vertical in _starts(height, self.crop_size[0], self.stride[0], self.style).items():
            for left, horizontal in columns.items():
                yield (slice(top, top + self.crop_size[0]), slice(left, left + self.crop_size[1]),
                       vertical * horizontal)


@dataclasses.dataclass(frozen=True)
class Resized(WholeImage):
    """The image resized to a fixed size, its scores resized back; both bilinear with ``align_corners=True``.

    Padding is taken off first, so that the resized image is the image alone.

    Attributes:
        size: Height and width in pixels at which the network sees the image.
    """

    size: tuple[int, int] = (512, 512)

    def __post_init__(self) -> None:
        object.__setattr__(self, 'size', _positive_pair('size', self.size))

    def __call__(self, logits_of: LogitsOf, inputs: Tensor, img_metas: list[dict]) -> Tensor:
        """Score images, see :class:`WholeImage`; padded pixels get the score 0."""
        places = [_without_padding(meta, *inputs.shape[-2:]) for meta in img_metas]
        images = [_resize(image[None, :, rows, columns], self.size)
                  for image, (rows, columns) in zip(inputs, places, strict=True)]
        scores = self.score(logits_of, torch.cat(images))
        full = scores.new_zeros((*scores.shape[:2], *inputs.shape[-2:]))
        for i, (rows, columns) in enumerate(places):
            size = (rows.stop - rows.start, columns.stop - columns.start)
            full[i, :, rows, columns] = _resize(scores[i:i + 1], size)[0]
        return full


def padded(logits_of: LogitsOf, divisor: int) -> LogitsOf:
    """A network that takes images of any size: zeros are added right and below up to multiples of ``divisor`` pixels,
    and their scores are taken off.
    """
    def of_any_size(images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        missing = (0, -width % divisor, 0, -height % divisor)
        return logits_of(pad(images, missing))[..., :height, :width] if any(missing) else logits_of(images)
    return of_any_size


MODES = dict(whole=WholeImage, slide=SlidingWindow, resize=Resized)


def build_protocol(test_cfg: dict) -> WholeImage:
    """The test protocol that a config describes.

    Args:
        test_cfg: ``mode`` ('whole', 'slide' or 'resize') and the attributes of its class as options, e.g.
            ``dict(mode='whole', flip=True)``, ``dict(mode='slide', crop_size=(512, 512), stride=(256, 256))``,
            ``dict(mode='resize', size=(512, 512))``. ``flip`` goes with every mode.

    Returns:
        A callable ``protocol(logits_of, inputs, img_metas) -> scores``, see :meth:`WholeImage.__call__`.

    Raises:
        ValueError: The mode or an option is unknown, a needed one is missing, or a value is impossible.
    """
    options = dict(test_cfg)
    mode = options.pop('mode', 'whole')
    if mode not in MODES:
        raise ValueError(f'test_cfg: mode is {mode!r}; choose from {list(MODES)}.')
    own = [field.name for field in dataclasses.fields(MODES[mode])]
    unknown = sorted(set(options) - set(own))
    if unknown:
        raise ValueError(f'test_cfg: mode {mode!r} has no option {unknown}; allowed are {own}.')
    missing = [name for name in ('crop_size', 'stride', 'size') if name in own and name not in options]
    if missing:
        raise ValueError(f'test_cfg: mode {mode!r} needs {missing}, in pixels (height, width).')
    if not isinstance(options.get('flip', False), bool):
        raise ValueError(f'test_cfg: flip is {options["flip"]!r}; give True (average with the horizontally mirrored '
                         'image) or False.')
    return MODES[mode](**options)


def _starts(size: int, crop: int, stride: int, style: str) -> Counter:
    """First pixel of each distinct window along one side, with the number of times that it counts."""
    return Counter(window_starts(size, crop, stride, 'repeat' if style == 'published' else 'shift'))


def _softmax(logits: Tensor) -> Tensor:
    """Class probabilities in float32."""
    if logits.shape[1] < 2:
        raise ValueError("test_cfg: flip=True and style='published' average softmax maps, but the decode head has one "
                         'output channel; give it two, or test without them.')
    return logits.float().softmax(dim=1)


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return interpolate(maps, size, mode='bilinear', align_corners=True)


def _without_padding(meta: dict, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of the image in its padded tensor, told by mmseg's data preprocessor."""
    left, right, top, bottom = meta.get('img_padding_size', meta.get('padding_size', (0, 0, 0, 0)))
    return slice(top, height - bottom), slice(left, width - right)


def _positive_pair(name: str, value: int | tuple[int, int]) -> tuple[int, int]:
    pair = tuple(to_2tuple(value))
    if not (is_tuple_of(pair, int) and len(pair) == 2 and min(pair) >= 1):
        raise ValueError(f'test_cfg: {name} is {value!r}; give pixels as (height, width), each at least 1.')
    return pair
