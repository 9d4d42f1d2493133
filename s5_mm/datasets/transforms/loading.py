"""Loading of images and label masks, with errors where other loaders return wrong pixels."""
import contextlib
import io
import warnings
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import rasterio
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine import fileio
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image, ImageOps, UnidentifiedImageError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, MemoryFile

from s5_mm.images import ImageReadError, open_image, require_sides
from s5_mm.rasters import RasterError, require_size
from s5_mm.registry import TRANSFORMS

IGNORED = 255
"""Label of a pixel without class in memory, as in mmseg."""

ORIENTATION = 274  # tag of EXIF
TIFF_SIGNATURES = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
"""First bytes of TIFF and BigTIFF, in both orders of bytes."""
_PNG_SCALES = {'L;2': 85, 'L;4': 17}
"""What Pillow multiplies gray of few bits with, by its name of the decoder."""
_EIGHT_BIT_MODES = ('1', 'L', 'LA', 'P', 'PA', 'RGB', 'RGBA', 'RGBX', 'CMYK', 'YCbCr')
_MASK_MODES = ('1', 'L', 'P', 'I', 'I;16', 'I;16B', 'I;16L', 'I;16N')


def read_image(path: str, backend_args: dict | None = None) -> np.ndarray:
    """Decode an image file completely, in color.

    Gray, palette, bilevel and transparent images become plain color (transparency is dropped), and an EXIF orientation
    is applied, as ``mmcv.imread`` does.

    Args:
        path (str): Any format that Pillow reads with 8 bits a channel (JPEG, PNG, plain TIFF, BMP, WebP ...).
        backend_args (dict, optional): File backend of MMEngine.

    Returns:
        np.ndarray: (H, W, 3), uint8, channels in the order **blue, green, red**.

    Raises:
        ImageReadError: The file is missing, truncated, not an image, too large (:func:`s5_mm.images.max_pixels`), or
            has more or fewer than 8 bits a channel.
    """
    return read_image_and_mask(path, backend_args)[0]


def read_image_and_mask(path: str, backend_args: dict | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """As :func:`read_image`, and which pixels have data.

    Args:
        path (str): See :func:`read_image`.
        backend_args (dict, optional): See :func:`read_image`.

    Returns:
        tuple[np.ndarray, np.ndarray | None]: The image; and (H, W), bool, False where it is fully transparent,
        ``None`` for an image without transparency.

    Raises:
        ImageReadError: See :func:`read_image`.
    """
    content = None
    try:
        content = fileio.get(path, backend_args=backend_args)
        with open_image(io.BytesIO(content), path) as image:
            _require_eight_bits(path, image)
            image = ImageOps.exif_transpose(image)
            rgb, visible = np.asarray(image.convert('RGB')), None
            if image.has_transparency_data:
                visible = np.asarray(image.convert('RGBA'))[..., 3] > 0
    except (ImageReadError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        reason = _what_is(content) or 'it is no image of a known format, or damaged'
        raise ImageReadError(path, reason) from error
    except Exception as error:
        # Pillow's decoders raise many unrelated types for damaged files (OSError, SyntaxError, struct.error ...).
        raise ImageReadError(path, f'{type(error).__name__}: {error}') from error
    return np.ascontiguousarray(rgb[..., ::-1]), visible


def _what_is(content: bytes) -> str | None:
    """Why Pillow does not read a TIFF that GDAL reads; ``None`` for anything else."""
    try:
        with _open_tiff(content) as source:
            kinds = ', '.join(dict.fromkeys(source.dtypes))
            return (f'it is a TIFF with {source.count} bands of {kinds}; s5_mm.LoadGeoTIFF reads it, in the place of '
                    's5_mm.LoadImage')
    except (RasterError, RasterioError):
        return None


@contextlib.contextmanager
def _open_tiff(content: bytes) -> Iterator[DatasetReader]:
    """Open the content of a TIFF by GDAL, which knows all bands and bits.

    Raises:
        RasterError: It is no TIFF, or too large.
        RasterioError: It is damaged.
    """
    if content[:4] not in TIFF_SIGNATURES:
        raise RasterError('it is no TIFF')
    with warnings.catch_warnings(), rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN='EMPTY_DIR'), MemoryFile(content) as file:
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        with file.open(driver='GTiff') as source:
            require_size(source)
            yield source


def _require_eight_bits(path: str, image: Image.Image) -> None:
    # Pillow opens 16-bit color files as mode RGB with the high byte only; they differ in the raw mode of their tiles.
    if image.mode not in _EIGHT_BIT_MODES or ';16' in str(image.tile):
        depth = '16 bits a channel' if image.mode in _EIGHT_BIT_MODES else f'mode {image.mode!r}'
        raise ImageReadError(path, f'it has {depth}; only 8 bits a channel are supported (modes '
                             f'{", ".join(_EIGHT_BIT_MODES)}). Convert it, with a stretch that suits the sensor')


def read_size(path: str) -> tuple[int, int]:
    """Size of an image file, read from its header; also of GeoTIFF with any bands.

    Args:
        path (str): A local image file.

    Returns:
        tuple[int, int]: (height, width) in pixels, as in the header (an EXIF orientation is not applied).

    Raises:
        ImageReadError: The file is missing, not an image, or too large (:func:`s5_mm.images.max_pixels`).
    """
    try:
        with open_image(path, path) as image:
            width, height = image.size
    except UnidentifiedImageError:
        return _geotiff_size(path)
    except ImageReadError:
        raise
    except Exception as error:
        raise ImageReadError(path, f'{type(error).__name__}: {error}') from error
    return height, width


def read_orientation(path: str) -> int:
    """EXIF orientation of an image, by which :func:`read_image` turns it.

    Args:
        path (str): A local image file whose size was read.

    Returns:
        int: 1: as stored; 2 to 8: turned or mirrored, from 5 on with width and height exchanged (EXIF 2.32, tag 274).
    """
    try:
        with open_image(path, path) as image:
            # Pillow would decode a whole PNG to look for EXIF data behind its pixels.
            late = image.format == 'PNG' and 'exif' not in image.info
            return 1 if late else image.getexif().get(ORIENTATION, 1)
    except UnidentifiedImageError:  # a GeoTIFF, which LoadGeoTIFF does not turn
        return 1


def _geotiff_size(path: str) -> tuple[int, int]:
    """Size by GDAL, since Pillow supports few combinations of bands and bits of GeoTIFF."""
    try:
        with warnings.catch_warnings(), open(path, 'rb') as file:
            if not file.read(1):  # rasterio would take it for a file to be written
                raise ImageReadError(path, 'it is empty')
            file.seek(0)
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            with rasterio.open(file, driver='GTiff') as source:
                require_size(source)
                return source.height, source.width
    except RasterError as error:
        raise ImageReadError(path, str(error)) from error
    except RasterioError as error:
        raise ImageReadError(path, f'{type(error).__name__}: {error}') from error


def read_label_ids(path: str, backend_args: dict | None = None) -> np.ndarray:
    """Decode a mask of class ids exactly as stored.

    Pillow scales gray of 2 and 4 bits to 8, and inverts TIFFs in which 0 is white. GDAL therefore reads TIFFs, and
    gray PNGs are scaled back.

    Args:
        path (str): Single-channel image of ids; for a palette image, the indices are the ids. A TIFF may have any type
            of numbers, if they are whole.
        backend_args (dict, optional): File backend of MMEngine.

    Returns:
        np.ndarray: (H, W), unsigned or signed integers of up to 32 bits, not clipped.

    Raises:
        ImageReadError: The file is missing, damaged, too large (:func:`s5_mm.images.max_pixels`), or has more than one
            channel.
    """
    try:
        content = fileio.get(path, backend_args=backend_args)
        if content[:4] in TIFF_SIGNATURES:
            return _tiff_ids(path, content)
        with open_image(io.BytesIO(content), path) as mask:
            if mask.mode not in _MASK_MODES:
                raise ImageReadError(path, f'a label mask has one integer channel, this one has mode {mask.mode!r}; '
                                     'convert colors to class ids first')
            decoder = mask.tile[0][3] if mask.tile else None
            scale = _PNG_SCALES.get(decoder, 1) if isinstance(decoder, str) else 1
            ids = np.asarray(mask) // scale if scale > 1 else np.asarray(mask)
    except (ImageReadError, MemoryError):
        raise
    except RasterError as error:
        raise ImageReadError(path, str(error)) from error
    except UnidentifiedImageError as error:
        raise ImageReadError(path, 'it is no image of a known format, or damaged') from error
    except Exception as error:
        raise ImageReadError(path, f'{type(error).__name__}: {error}') from error
    return ids.astype(np.uint8) if ids.dtype == bool else ids


def _tiff_ids(path: str, content: bytes) -> np.ndarray:
    """The ids in a TIFF."""
    with _open_tiff(content) as source:
        require_mask(path, source)
        return whole_ids(path, source.read(1))


def require_mask(path: str, source: DatasetReader) -> None:
    """Refuse an open file that is no label mask.

    Args:
        path: The file, for the message.
        source: The open file.

    Raises:
        ImageReadError: It has several bands, or other values than numbers.
    """
    if source.count != 1 or np.dtype(source.dtypes[0]).kind not in 'iuf':
        raise ImageReadError(path, f'a label mask has one integer channel, this one has {source.count} of '
                             f'{source.dtypes[0]}; convert colors to class ids first')


def whole_ids(path: str, ids: np.ndarray) -> np.ndarray:
    """Ids of a label mask as integers.

    Args:
        path: The file, for the message.
        ids: (H, W), numbers.

    Raises:
        ImageReadError: A number is not whole.
    """
    with np.errstate(invalid='ignore'):
        whole = ids.astype(np.int32) if ids.dtype.kind == 'f' or ids.dtype.itemsize > 4 else ids
    if not np.array_equal(whole, ids):
        raise ImageReadError(path, f'it has {ids.dtype} values that are no class ids; ids are whole numbers')
    return whole


@lru_cache(maxsize=64)
def _label_table(num_classes: int | None, ignore_index: int, reduce_zero_label: bool,
                 label_map: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Training id of each of the 256 ids on disk; -1 where an id is not allowed."""
    table = np.arange(256)
    if reduce_zero_label:
        table = np.where((table == 0) | (table == 255), IGNORED, table - 1)
    known = table < (num_classes if num_classes is not None else 256)
    known |= (table == IGNORED) & reduce_zero_label & (np.arange(256) == 0)
    mapped = table.copy()
    for old, new in label_map:
        mapped[table == old] = new
    mapped[~known] = -1
    mapped[ignore_index] = IGNORED
    return mapped.astype(np.int16)


def train_ids(path: str, ids: np.ndarray, info: dict) -> np.ndarray:
    """Translate the ids of a mask file to training ids and check that they are allowed.

    Args:
        path (str): The mask file, for the message.
        ids (np.ndarray): (H, W) integers, as on disk.
        info (dict): ``num_classes`` (ids on disk 0 ... K-1, or 1 ... K with ``reduce_zero_label``; without it ids are
            not checked), ``ignore_index`` (id on disk of pixels without class, default 255), ``reduce_zero_label``
            and ``label_map`` with mmseg's meaning, ``label_rule`` (name of the convention, for the message).

    Returns:
        np.ndarray: (H, W), uint8, class ids, 255 = ignored.

    Raises:
        ValueError: An id is neither a class nor the ignore index.
    """
    num_classes, ignore_index = info.get('num_classes'), info.get('ignore_index', IGNORED)
    reduce_zero_label = bool(info.get('reduce_zero_label'))
    table = _label_table(num_classes, ignore_index, reduce_zero_label, tuple((info.get('label_map') or {}).items()))
    if ids.dtype == np.uint8:
        mapped = table[ids]
    else:
        mapped = np.where((ids >= 0) & (ids < 256), table[np.clip(ids, 0, 255)], np.int16(-1))
    wrong = mapped < 0
    if wrong.any():
        raise ValueError(f'label mask {path} holds the ids {_head(np.unique(ids[wrong]))}; '
                         f'{_allowed_ids(table, info)}. Check the number of classes, `label_rule`, `ignore_index` and '
                         '`reduce_zero_label` of the dataset, or convert the mask')
    return mapped.astype(np.uint8)


def _allowed_ids(table: np.ndarray, info: dict) -> str:
    classes, ignored = np.flatnonzero((table >= 0) & (table != IGNORED)), np.flatnonzero(table == IGNORED)
    rule = f' under label_rule={info["label_rule"]!r}' if info.get('label_rule') else ''
    whole = len(classes) == classes[-1] - classes[0] + 1
    shown = f'{classes[0]}..{classes[-1]}' if whole else ', '.join(map(str, classes))
    return f'allowed{rule} are {shown}, and {", ".join(map(str, ignored))} (ignored)'


def _head(values: np.ndarray) -> str:
    shown = ', '.join(str(int(value)) for value in values[:10])
    return f'[{shown}{", ..." if len(values) > 10 else ""}]'


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """Load an 8-bit image in color, with an error where other loaders return gray pixels or clipped values.

    The image is decoded by Pillow, because OpenCV fills the missing part of a truncated JPEG with gray without an
    error. The order of channels is blue, green, red as in mmseg's loader, so data preprocessors keep
    ``bgr_to_rgb=True``.

    Required keys: ``img_path``. Added keys: ``img`` (H, W, 3), ``img_shape`` and ``ori_shape`` (H, W); if some pixels
    are fully transparent, ``has_data`` (H, W) bool, by which :class:`LoadLabels` and :class:`UnlabeledMask` ignore
    them.

    Args:
        backend_args (dict, optional): File backend of MMEngine.

    Raises:
        ImageReadError: See :func:`read_image`; also raised for an image that is one pixel wide or high.
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        super().__init__(imdecode_backend='pillow', backend_args=backend_args)

    def transform(self, results: dict) -> dict:
        """Add image and sizes, see the class."""
        img, data = read_image_and_mask(results['img_path'], self.backend_args)
        require_sides(results['img_path'], img)
        keep_data_mask(results, data)
        results['img'] = img
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadLabels(LoadAnnotations):
    """Load a label mask and check its size against the image and its ids against the classes.

    ``reduce_zero_label`` and ``label_map`` work as in mmseg. Pixels of the dataset's ``ignore_index`` become 255, the
    value that mmseg's losses, metrics and paddings ignore; so do pixels where the image has no data. An image without
    ``seg_map_path``, of a test set without labels, is passed on as it is.

    Keys used when present: ``seg_map_path``, ``ori_shape``, ``has_data``, ``num_classes`` and
    ``ignore_index`` (:class:`~s5_mm.datasets.SegDataset` gives both), ``reduce_zero_label``, ``label_map``.
    Added keys: ``gt_seg_map`` (H, W) uint8, and its name in ``seg_fields``.

    Args:
        backend_args (dict, optional): File backend of MMEngine.

    Raises:
        ImageReadError: See :func:`read_label_ids`.
        ValueError: The size differs from the image's, or an id is not a class; the message names the file.
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        super().__init__(backend_args=backend_args)

    def _load_seg_map(self, results: dict) -> None:
        if 'seg_map_path' not in results:
            return
        path = results['seg_map_path']
        ids = read_label_ids(path, self.backend_args)
        # Not compared with the shape of `img`: test pipelines resize the image before they load the mask.
        if 'ori_shape' in results and tuple(results['ori_shape'][:2]) != ids.shape:
            raise size_error(results['img_path'], results['ori_shape'], path, ids.shape)
        results['gt_seg_map'] = labels = train_ids(path, ids, results)
        if 'has_data' in results:
            labels[~results['has_data']] = IGNORED
        results.setdefault('seg_fields', []).append('gt_seg_map')

    def __repr__(self) -> str:
        return f'{type(self).__name__}(backend_args={self.backend_args})'


def keep_data_mask(results: dict, data: np.ndarray | None) -> None:
    """Keep which pixels of a loaded image have data as ``has_data``, if some have none.

    Args:
        results: Of a loading step.
        data: (H, W), bool; ``None``: all.
    """
    results.pop('has_data', None)
    if data is not None and not data.all():
        results['has_data'] = data


def size_error(image: str, image_size: tuple[int, int], mask: str, mask_size: tuple[int, int]) -> ValueError:
    """The error for an image and a mask of different sizes, given as (height, width)."""
    return ValueError(f'image and label mask differ in size: {image} is {image_size[1]} x {image_size[0]} pixels, '
                      f'{mask} is {mask_size[1]} x {mask_size[0]} (width x height); they must be equal')


@TRANSFORMS.register_module()
class UnlabeledMask(BaseTransform):
    """Add a mask of valid pixels to an unlabeled image: 0 where it has data, 255 elsewhere.

    Pixels that are padded later, by transforms or in a batch, get 255, too, so the loss can exclude them.

    Required keys: ``img``; used when present: ``has_data``. Added keys: ``gt_seg_map`` (H, W) uint8, and its name in
    ``seg_fields``.

    Raises:
        ValueError: The image has another size than when it was loaded, and pixels without data.
    """

    def transform(self, results: dict) -> dict:
        """Add the mask, see the class."""
        results['gt_seg_map'] = mask = np.zeros(results['img'].shape[:2], np.uint8)
        if 'has_data' in results:
            if results['has_data'].shape != mask.shape:
                raise ValueError(f'{type(self).__name__}: the image was loaded with the size '
                                 f'{results["has_data"].shape} and has {mask.shape} now; put this step behind the '
                                 'loading step.')
            mask[~results['has_data']] = IGNORED
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
