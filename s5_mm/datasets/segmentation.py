"""Labeled datasets that are defined by configuration and checked before training starts."""
import logging
import os.path as osp

import numpy as np
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset

from s5_mm.files import once_listed, walk
from s5_mm.rasters import SUFFIXES
from s5_mm.registry import DATASETS

from .label_shares import SUSPICIOUS_SHARE, LabelShares
from .transforms.loading import read_label_ids, read_orientation, read_size, size_error, train_ids

MASKS_CHECKED = 16
"""Number of the checked pairs whose mask is decoded to check its ids."""


@DATASETS.register_module()
class SegDataset(BaseSegDataset):
    """Image and mask folders of any dataset: classes, palette, folders and suffixes come from the config.

    It extends mmseg's dataset by checks. At start: all directories and files exist, every image has a mask, and in a
    sample of pairs the sizes agree and the ids are allowed. Suffixes count in any case, and other images in the folder
    are reported. The log tells the share of each class in the sample, and warns of many ignored pixels and of classes
    that do not occur. With :class:`~s5_mm.datasets.transforms.LoadLabels` in the
    pipeline, every pair is also checked when it is loaded. Files of a remote ``backend_args`` are checked only then.

    A subclass whose label files exist in several conventions lists them in ``LABEL_RULES``: name of the rule -> its
    arguments (``reduce_zero_label``, ``ignore_index``, ``metainfo``). The first rule is the default.

    Args:
        num_checked (int): Number of pairs, spread evenly over the dataset, whose sizes are compared at start. The ids
            of up to 16 of their masks are checked, too. 0 turns both checks off.
        label_rule (str, optional): Convention of the ids on disk, a key of ``LABEL_RULES``; None: the first.
        **kwargs: Arguments of mmseg's ``BaseSegDataset``. ``metainfo=dict(classes=..., palette=...)`` unless a subclass
            defines it; ``data_prefix=dict(img_path=..., seg_map_path=...)``, without ``seg_map_path`` for a test set
            without labels; ``ignore_index``, the id on disk (0-255) of pixels without a class, which become 255.

    Raises:
        ValueError: There are no classes or no images, ``ignore_index`` is out of range, ``label_rule`` is unknown or
            contradicts another argument, images have no mask, sizes differ, ids are not allowed, or training masks have
            ignored pixels only.
        FileNotFoundError: A directory, a list file or a listed image does not exist.
    """

    LABEL_RULES: dict[str, dict] = {}

    def __init__(self, num_checked: int = 256, label_rule: str | None = None, **kwargs) -> None:
        self.num_checked = num_checked
        self.label_rule = next(iter(self.LABEL_RULES), None) if label_rule is None else label_rule
        super().__init__(**self._with_rule(kwargs))
        if not self.METAINFO:
            # Scripts of mmseg ask for the classes here.
            self.METAINFO = {key: self._metainfo[key] for key in ('classes', 'palette') if key in self._metainfo}

    def _with_rule(self, given: dict) -> dict:
        """The arguments ``given`` and those of the label rule."""
        if self.label_rule is None:
            return given
        if self.label_rule not in self.LABEL_RULES:
            raise ValueError(f'`label_rule` is {self.label_rule!r}; allowed in {type(self).__name__}: '
                             f'{", ".join(self.LABEL_RULES) or "none"}')
        rule = self.LABEL_RULES[self.label_rule]
        against = [key for key in rule if key != 'metainfo' and given.get(key, rule[key]) != rule[key]]
        if against:
            raise ValueError(f'label_rule={self.label_rule!r} of {type(self).__name__} means {against[0]}='
                             f'{rule[against[0]]}, but {against[0]}={given[against[0]]} is given; leave it out, or '
                             f'choose another rule: {", ".join(self.LABEL_RULES)}')
        metainfo = {**rule.get('metainfo', {}), **(given.get('metainfo') or {})}
        return {**rule, **given, 'metainfo': metainfo}

    def full_init(self) -> None:
        """Load the list of pairs and check it, see the class."""
        if not self._fully_initialized:
            self._check_settings()
        super().full_init()

    def load_data_list(self) -> list[dict]:
        """List the pairs, sorted by path or in the order of ``ann_file``.

        Returns:
            list[dict]: mmseg's keys, and ``num_classes``, ``ignore_index`` and ``label_rule``, which describe the ids
            on disk.
        """
        local = isinstance(get_file_backend(self.data_prefix['img_path'], backend_args=self.backend_args), LocalBackend)
        if local:
            self._check_paths()
        data_list = self._pairs_below() if local and not self.ann_file else super().load_data_list()
        if not data_list:
            where = f'list file {self.ann_file}' if self.ann_file else \
                f'image directory {self.data_prefix["img_path"]} (img_suffix={self.img_suffix!r})'
            raise ValueError(f'{type(self).__name__} found no image: looked in {where}')
        num_classes = len(self.METAINFO.get('classes') or self._metainfo['classes'])
        for info in data_list:
            info.update(num_classes=num_classes, ignore_index=self.ignore_index, label_rule=self.label_rule)
        if local:
            self._check_files(data_list)
            self._check_sample(data_list)
        return data_list

    def _pairs_below(self) -> list[dict]:
        """What mmseg lists of a folder. Its own listing never ends where links lead back to a folder above them."""
        images, masks = self.data_prefix['img_path'], self.data_prefix.get('seg_map_path')
        mask_paths = {} if masks is None else _files_below(masks, self.seg_map_suffix)
        data_list = []
        for name, path in sorted(_files_below(images, self.img_suffix).items(), key=lambda item: item[1]):
            info = dict(img_path=path, label_map=self.label_map, reduce_zero_label=self.reduce_zero_label,
                        seg_fields=[])
            if masks is not None:
                info['seg_map_path'] = mask_paths.get(name, osp.join(masks, name + self.seg_map_suffix))
            data_list.append(info)
        self._report_others(images, len(data_list))
        return data_list

    def _report_others(self, images: str, found: int) -> None:
        """Warn of images that the suffix leaves out."""
        suffixes = (self.img_suffix.lower(), self.seg_map_suffix.lower())
        others = [name for _, names in walk(images) for name in names
                  if name.lower().endswith(SUFFIXES) and not name.lower().endswith(suffixes)]
        if others and found:
            print_log(f'{type(self).__name__}: {len(others)} images in {images} do not end in img_suffix='
                      f'{self.img_suffix!r} and are not used ({_first(others)}); {found} are used', 'current',
                      logging.WARNING)

    def _check_settings(self) -> None:
        if not self._metainfo.get('classes'):
            raise ValueError(f'{type(self).__name__} needs `metainfo=dict(classes=(...), palette=[...])` in its config')
        if not 0 <= self.ignore_index <= 255:
            raise ValueError(f'`ignore_index` is {self.ignore_index}; it must be an id that a mask can hold, 0..255')
        if 'img_path' not in self.data_prefix:
            raise ValueError('`data_prefix` needs `img_path`, the image directory below `data_root`; it has '
                             f'{sorted(self.data_prefix)}')
        if not self.test_mode and 'seg_map_path' not in self.data_prefix:
            raise ValueError('`data_prefix` has no `seg_map_path`, the directory of the label masks; only '
                             '`test_mode=True` works without labels')

    def _check_paths(self) -> None:
        for key, what in (('img_path', 'image'), ('seg_map_path', 'label')):
            path = self.data_prefix.get(key)
            if path is not None and not osp.isdir(path):
                raise FileNotFoundError(f'{what} directory {path or "."} does not exist (data_root={self.data_root!r}, '
                                        f'data_prefix[{key!r}]); correct the config or prepare the data')
        if self.ann_file and not osp.isfile(self.ann_file):
            raise FileNotFoundError(f'list file {self.ann_file} does not exist (`ann_file`, data_root='
                                    f'{self.data_root!r})')

    def _check_files(self, data_list: list[dict]) -> None:
        exists = once_listed()
        if self.ann_file:
            lost = [info['img_path'] for info in data_list if not exists(info['img_path'])]
            if lost:
                raise FileNotFoundError(f'{len(lost)} of {len(data_list)} images listed in {self.ann_file} do not '
                                        f'exist: {_first(lost)}; names are listed without img_suffix='
                                        f'{self.img_suffix!r}')
        if 'seg_map_path' in self.data_prefix:
            lost = [info['img_path'] for info in data_list if not exists(info['seg_map_path'])]
            if lost:
                raise ValueError(f'{len(lost)} of {len(data_list)} images have no label mask in '
                                 f'{self.data_prefix["seg_map_path"]} (seg_map_suffix={self.seg_map_suffix!r}): '
                                 f'{_first(lost)}')

    def _check_sample(self, data_list: list[dict]) -> None:
        if 'seg_map_path' not in self.data_prefix:
            return
        pairs = _spread(data_list, self.num_checked)
        self._check_sizes(pairs)
        masks = [train_ids(info['seg_map_path'], read_label_ids(info['seg_map_path']), info)
                 for info in _spread(pairs, MASKS_CHECKED)]
        if masks:
            self._check_shares(LabelShares.of(masks, self._metainfo['classes']), len(masks), len(data_list))

    def _check_sizes(self, pairs: list[dict]) -> None:
        """Compare images and masks, and tell of images that are turned."""
        turned = []
        for info in pairs:
            image, mask = info['img_path'], info['seg_map_path']
            size, orientation = read_size(image), read_orientation(image)
            # From 5 on, width and height are exchanged.
            size = size[::-1] if orientation > 4 else size
            if size != read_size(mask):
                raise size_error(image, size, mask, read_size(mask))
            if orientation > 1:
                turned.append(image)
        if turned:
            print_log(f'{type(self).__name__}: {len(turned)} of {len(pairs)} checked images have an EXIF orientation '
                      f'({_first(turned)}). They are turned upright, as viewers do, so their masks must be '
                      'upright, too', 'current', logging.WARNING)

    def _check_shares(self, shares: LabelShares, looked_at: int, of: int) -> None:
        """Tell the classes in the sample, and what is unlikely to be meant."""
        where = f'{looked_at} of {of} label masks in {self.data_prefix["seg_map_path"]}'
        print_log(f'{type(self).__name__}: {where} show {shares}', 'current')
        if shares.ignored == 1 and not self.test_mode:
            raise ValueError(f'All pixels of {where} are ignored, so there is nothing to learn; {self._advice()}')
        if shares.ignored > SUSPICIOUS_SHARE:
            print_log(f'{shares.ignored:.0%} of the pixels of {where} are ignored; {self._advice()}', 'current',
                      logging.WARNING)
        absent = shares.absent
        # A class may be rare, and then a part of the masks does not show it.
        if absent and (looked_at == of or 2 * len(absent) >= len(shares.classes)):
            print_log(f'No pixel of {where} has the class {", ".join(absent)}; compare the order of `classes` with '
                      'the ids in the masks', 'current', logging.WARNING)

    def _advice(self) -> str:
        """What to do about ignored pixels."""
        if len(self.LABEL_RULES) > 1:
            others = [rule for rule in self.LABEL_RULES if rule != self.label_rule]
            return (f'if the files do not follow label_rule={self.label_rule!r} but another one '
                    f'({", ".join(others)}), every class is shifted')
        if self.reduce_zero_label:
            return 'if 0 is a class in the masks, set reduce_zero_label=False: now every class is shifted'
        return (f'if the id {self.ignore_index} is a class in the masks (0 and 255 of two classes), convert the masks '
                'to the ids 0, 1, ...')


def _files_below(folder: str, suffix: str) -> dict[str, str]:
    """Path below a folder without the suffix -> path. Suffixes count in any case; that of the argument comes first."""
    ends = sorted((name.endswith(suffix), osp.join(place, name)) for place, names in walk(folder) for name in names
                  if name.lower().endswith(suffix.lower()) and not name.startswith('.'))
    return {osp.relpath(path, folder)[:-len(suffix) or None]: path for _, path in ends}


def _spread(items: list, count: int) -> list:
    """At most ``count`` items, evenly spread, including the first and the last."""
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).astype(int))]


def _first(paths: list[str]) -> str:
    return ', '.join(paths[:3]) + (', ...' if len(paths) > 3 else '')
