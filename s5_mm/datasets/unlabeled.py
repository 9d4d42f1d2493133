"""Large sets of images without labels, listed in one Arrow array."""
import copy
import logging
import os
import os.path as osp
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from s5_mm.files import walk
from s5_mm.images import ImageReadError
from s5_mm.registry import DATASETS

IMAGE_EXTENSIONS = ('.jpg', '.jpeg', '.png', '.tif', '.tiff', '.bmp', '.webp')
PATHS_CHECKED = 8


@DATASETS.register_module()
class UnlabeledDataset(BaseDataset):
    """An unlabeled pool from a folder, a list file or a Parquet manifest.

    All paths are in one Arrow string array, which takes about as many bytes as their text and is shared by forked
    loader workers. A path becomes a Python string only when its sample is drawn. The order is that of the file; images
    of a folder are sorted by path.

    In training, an image that cannot be read is replaced by another one, drawn from NumPy's global generator. The
    sample lists the paths that failed as ``unreadable`` (add it to ``meta_keys`` of ``PackSegInputs``), and
    :class:`~s5_mm.engine.hooks.UnreadableImagesHook` counts them. With ``test_mode=True`` the error is raised.

    Args:
        source (str): One of

            - a folder, searched with its subfolders for image files (.jpg .jpeg .png .tif .tiff .bmp .webp);
            - a text file (any name but ``*.parquet``), UTF-8, one path a line, empty lines ignored;
            - a Parquet file (``*.parquet``) with a text column ``path``; other columns are ignored.

            The path is tried first as given, then relative to ``data_root``. Paths in a file are relative to
            ``data_root``.
        pipeline (list): Transforms, the first of which is usually ``s5_mm.LoadImage``.
        data_root (str): Folder that listed paths are relative to. Empty: the working directory.
        metainfo (dict, optional): Meta information of the dataset.
        indices (int or Sequence[int], optional): Use only these entries; a number n means the first n, -n the last n.
        test_mode (bool): Raise on an unreadable image instead of replacing it.
        lazy_init (bool): Whether to read ``source`` only when it is needed.
        max_replacements (int): Number of unreadable images in a row above which an error is raised.

    Raises:
        FileNotFoundError: ``source`` does not exist, or none of the first listed paths does.
        ValueError: There is no entry or no column ``path``, a path is empty or occurs twice, or ``max_replacements`` is
            negative.
        RuntimeError: When a sample is drawn: more than ``max_replacements`` images in a row were unreadable.
    """

    def __init__(self,
                 source: str,
                 pipeline: Sequence[dict | Callable] = (),
                 data_root: str | None = '',
                 metainfo: dict | None = None,
                 indices: int | Sequence[int] | None = None,
                 test_mode: bool = False,
                 lazy_init: bool = False,
                 max_replacements: int = 10) -> None:
        if max_replacements < 0:
            raise ValueError(f'`max_replacements` is {max_replacements}; it must be at least 0')
        self.source = source
        self.max_replacements = max_replacements
        self._paths: pa.LargeStringArray | None = None
        super().__init__(metainfo=metainfo, data_root=data_root or '', data_prefix={}, indices=indices,
                         pipeline=list(pipeline), test_mode=test_mode, lazy_init=lazy_init)

    def full_init(self) -> None:
        """Read ``source`` into the Arrow array and check it, see the class."""
        if self._fully_initialized:
            return
        self._root, self._paths = self._read_source()
        if self._indices is not None:
            self._paths = self._select(self._indices)
        self._fully_initialized = True

    @property
    def paths(self) -> pa.LargeStringArray:
        """The paths as listed: relative to :attr:`root`, or absolute."""
        self.full_init()
        return self._paths

    @property
    def root(self) -> str:
        """The folder that the paths are relative to."""
        self.full_init()
        return self._root

    def _read_source(self) -> tuple[str, pa.LargeStringArray]:
        """Read a folder, a list file or a Parquet file; returns the root of the paths, and the paths."""
        tried = list(dict.fromkeys([self.source, osp.join(self.data_root, self.source)]))
        source = next((path for path in tried if osp.exists(path)), None)
        if source is None:
            raise FileNotFoundError(f'the unlabeled source {self.source!r} does not exist, looked for '
                                    f'{" and ".join(tried)}; `source` is a folder, a list file or a Parquet file')
        if osp.isdir(source):
            paths, root = _paths_of_folder(source), source
        else:
            paths = _paths_of_parquet(source) if source.endswith('.parquet') else _paths_of_list(source)
            root = self.data_root
            _check_entries(source, paths)
            self._check_existence(source, paths)
        pa.default_memory_pool().release_unused()
        return root, paths

    def _check_existence(self, source: str, paths: pa.LargeStringArray) -> None:
        first = [osp.join(self.data_root, path) for path in paths[:PATHS_CHECKED].to_pylist()]
        # Single missing files are replaced in training; if all are missing, the root is probably wrong.
        if not any(osp.exists(path) for path in first):
            raise FileNotFoundError(f'none of the first {len(first)} images of {source} exists, e.g. {first[0]}; paths '
                                    f'are relative to `data_root`, which is {self.data_root!r}')

    def get_data_info(self, idx: int) -> dict:
        """Describe one image.

        Args:
            idx (int): Index, -len ... len-1.

        Returns:
            dict: ``img_path``, ``sample_idx`` (not negative), ``seg_fields`` (empty list), ``unreadable`` (empty
            tuple).
        """
        if not -len(self) <= idx < len(self):
            raise IndexError(f'index {idx} is outside of the {len(self)} unlabeled images')
        idx = int(idx) % len(self)
        path = osp.join(self._root, self._paths[idx].as_py())
        return {'img_path': path, 'sample_idx': idx, 'seg_fields': [], 'unreadable': ()}

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline on an image, or on a replacement if it cannot be read.

        Args:
            idx (int): Index of the image.

        Returns:
            dict: The result of the pipeline.

        Raises:
            ImageReadError: The image cannot be read and ``test_mode`` is set.
            RuntimeError: More than ``max_replacements`` in a row are unreadable.
        """
        unreadable: list[str] = []
        while True:
            info = self.get_data_info(idx)
            info['unreadable'] = tuple(unreadable)
            try:
                return self.pipeline(info)
            except ImageReadError as error:
                if self.test_mode:
                    raise
                unreadable.append(info['img_path'])
                if len(unreadable) > self.max_replacements:
                    raise RuntimeError(f'{len(unreadable)} unlabeled images in a row are unreadable (max_replacements='
                                       f'{self.max_replacements}) in {self.source}; the last: {error}') from error
            idx = self._rand_another()

    def __len__(self) -> int:
        if not self._fully_initialized:
            self.full_init()
        return len(self._paths)

    def get_subset(self, indices: int | Sequence[int]) -> 'UnlabeledDataset':
        """A dataset of some of the entries.

        Args:
            indices (int or Sequence[int]): These entries; a number n means the first n, -n the last n.

        Returns:
            UnlabeledDataset: The part; it shares the text of the paths if ``indices`` is a number.
        """
        subset = copy.copy(self)
        subset.get_subset_(indices)
        return subset

    def get_subset_(self, indices: int | Sequence[int]) -> None:
        """Like :meth:`get_subset`, in place."""
        self.full_init()
        self._paths = self._select(indices)

    def _select(self, indices: int | Sequence[int]) -> pa.LargeStringArray:
        size = len(self._paths)
        if isinstance(indices, int):
            if not 0 < abs(indices) <= size:
                raise ValueError(f'`indices` is {indices}; a number must be 1..{size} or -{size}..-1')
            return self._paths[:indices] if indices > 0 else self._paths[size + indices:]
        chosen = np.asarray(indices, dtype=np.int64)
        if not len(chosen) or chosen.min() < -size or chosen.max() >= size:
            raise ValueError(f'`indices` must be a number or a non-empty sequence of indices below {size}')
        return self._paths.take(pa.array(chosen % size))


def _check_entries(source: str, paths: pa.LargeStringArray) -> None:
    if not len(paths):
        raise ValueError(f'{source} lists no image')
    if paths.null_count or pc.any(pc.equal(pc.binary_length(paths), 0)).as_py():
        raise ValueError(f'{source} has entries without a path; every row of the column `path` needs one')
    doubled = _first_doubled(paths)
    if doubled is not None:
        raise ValueError(f'{source} lists {doubled!r} more than once; list every image once')


def _first_doubled(paths: pa.LargeStringArray) -> str | None:
    """A path that occurs twice, if any. Sorted positions take 8 bytes an entry; a set would copy the text."""
    order = pc.sort_indices(paths)
    step = 1 << 16
    for start in range(0, len(paths) - 1, step):
        part = paths.take(order[start:start + step + 1])
        same = pc.index(pc.equal(part[1:], part[:-1]), True).as_py()
        if same >= 0:
            return part[same].as_py()
    return None


def _paths_of_parquet(source: str) -> pa.LargeStringArray:
    try:
        file = pa.parquet.ParquetFile(source)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f'{source} is not a Parquet file: {error}') from error
    with file:
        schema = file.schema_arrow
        if 'path' not in schema.names:
            raise ValueError(f'{source} has no column `path`; its columns are {", ".join(schema.names) or "none"}')
        kind = schema.field('path').type
        if isinstance(kind, pa.DictionaryType):
            kind = kind.value_type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
            raise ValueError(f'the column `path` of {source} holds {kind}; it must hold text')
        groups = (file.read_row_group(i, columns=['path'])['path'] for i in range(file.num_row_groups))
        try:
            return _combine(chunk for group in groups for chunk in group.cast(pa.large_string()).chunks)
        except (OSError, pa.ArrowException) as error:
            raise ValueError(f'{source} is damaged: {error}') from error


def _paths_of_list(source: str) -> pa.LargeStringArray:
    if source.lower().endswith(tuple(IMAGE_EXTENSIONS)):
        raise ValueError(f'{source} is an image; give its folder, or a list file (UTF-8 text, one path a line)')
    if not osp.getsize(source):
        return pa.array([], pa.large_string())
    try:
        # With a separator that no path contains, the CSV reader reads plain lines without a Python object for each.
        reader = pa.csv.open_csv(
            source,
            read_options=pa.csv.ReadOptions(column_names=['path']),
            parse_options=pa.csv.ParseOptions(delimiter='\x1f', quote_char=False),
            convert_options=pa.csv.ConvertOptions(column_types={'path': pa.large_string()}))
        with reader:
            trimmed = [pc.utf8_trim_whitespace(batch['path']) for batch in reader]
    except pa.ArrowInvalid as error:
        raise ValueError(f'{source} is not a list file (UTF-8 text, one path a line): {error}') from error
    return _combine(chunk.filter(pc.greater(pc.binary_length(chunk), 0)) for chunk in trimmed)


def _paths_of_folder(folder: str) -> pa.LargeStringArray:
    paths = _combine(pa.array(names, pa.large_string()) for names in image_names(folder))
    if not len(paths):
        raise ValueError(f'found no image in the folder {folder} or below it (looked for '
                         f'{" ".join(IMAGE_EXTENSIONS)})')
    return paths.take(pc.sort_indices(paths))


def image_names(folder: str,
                suffixes: tuple[str, ...] = IMAGE_EXTENSIONS,
                left_out: str | None = None) -> Iterator[list[str]]:
    """Images of a folder and its subfolders, see :func:`s5_mm.files.walk`.

    Args:
        folder: The folder.
        suffixes: Suffixes of image names, in lower case.
        left_out: A folder that is not searched.

    Yields:
        Paths of one subfolder's images, relative to ``folder``. Names that are not UTF-8, as unpacked archives have
        them, are left out with a warning: tables and lists hold text.
    """
    for current, names in walk(folder, left_out):
        prefix = osp.relpath(current, folder)
        paths = [name if prefix == '.' else osp.join(prefix, name) for name in names if name.lower().endswith(suffixes)]
        lost = [path for path in paths if not _is_utf8(path)]
        if lost:
            print_log(f'{len(lost)} images in {os.fsencode(current)} have names that are not UTF-8 and are left out: '
                      f'{", ".join(str(os.fsencode(path)) for path in lost[:3])}; rename them', 'current',
                      logging.WARNING)
        yield [path for path in paths if _is_utf8(path)]


def _is_utf8(path: str) -> bool:
    """Whether a path is text; Python gives other bytes as lone surrogates."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _combine(chunks: Iterator[pa.LargeStringArray]) -> pa.LargeStringArray:
    return pa.concat_arrays([pa.array([], pa.large_string()), *chunks])
