"""The common part of datasets with rotated boxes: classes, difficulty, filters for training."""
import logging
import os
import os.path as osp
from collections import Counter
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from .rotated_files import RotatedObject

FILTERS = ('filter_empty_gt', 'min_side')
LEAST_SIDE = 0.01
"""Pixels. A box with a shorter side has no size of which a detector could learn the logarithm."""


class RotatedDataset(BaseDataset):
    """Images with polygons of four corners. A mixin that precedes a dataset of mmrotate in the list of bases.

    A subclass reads its label files in :meth:`read_data_list` and passes their objects to :meth:`instances_of`.
    Training always leaves out boxes without area (a side below 0.01 px) and copies of a box in its image; one warning
    reports their numbers. ``strict`` and ``difficulty_limit`` are part of ``metainfo``, so that a metric can follow
    them.

    Args:
        strict (bool): Whether an object of a class that is not in ``classes`` is an error. Otherwise such objects are
            left out, and one warning reports their number.
        diff_thr (int, optional): Objects of higher difficulty are ignored: they are neither found nor missed in an
            evaluation, and no targets in training. Default: 0 in a test; 1 in training, which uses difficult objects
            except truncated ones (``data_prep/dota.py`` gives them the difficulty 2).
        filter_cfg (dict, optional): Filters for training; a test keeps everything. ``min_side``: boxes with a shorter
            side below this are left out, in pixels of the file. ``filter_empty_gt``: images without a remaining target
            are left out.
        **kwargs: Arguments of MMEngine's ``BaseDataset``: ``data_root``, ``ann_file``,
            ``data_prefix=dict(img_path=...)``, ``metainfo=dict(classes=...)``, ``pipeline``, ``test_mode`` ...

    Raises:
        ValueError: A filter is unknown, a class is unknown (``strict``), there is no image, or ``filter_cfg`` leaves no
            target.
        FileNotFoundError: A folder or an image does not exist.
        LabelError: See :mod:`s5_mm.datasets.rotated_files`.
    """

    def __init__(self, strict: bool = False, diff_thr: int | None = None, test_mode: bool = False,
                 filter_cfg: dict | None = None, metainfo: dict | None = None, **kwargs) -> None:
        unknown = sorted(set(filter_cfg or ()) - set(FILTERS))
        if unknown:
            raise ValueError(f'`filter_cfg` of {type(self).__name__} has {", ".join(unknown)}; allowed are '
                             f'{", ".join(FILTERS)}')
        self.strict = strict
        self.difficulty_limit = diff_thr if diff_thr is not None else 0 if test_mode else 1
        self.unknown: Counter[str] = Counter()
        rules = dict(strict=self.strict, difficulty_limit=self.difficulty_limit)
        super().__init__(test_mode=test_mode, filter_cfg=filter_cfg, metainfo={**(metainfo or {}), **rules}, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read all label files and check that their images exist.

        Returns:
            list[dict]: ``img_path``, ``img_id`` and ``instances``; each instance has ``bbox`` (8 numbers, pixels),
            ``bbox_label`` and ``ignore_flag``.
        """
        self.unknown.clear()
        data_list = self.read_data_list()
        if not data_list:
            raise ValueError(f'{type(self).__name__} found no image: {self.ann_file or self.data_prefix["img_path"]} '
                             'names none')
        self._check_images(data_list)
        if self.unknown:
            self._report_unknown()
        return data_list

    def read_data_list(self) -> list[dict]:
        """Read the list of :meth:`load_data_list`, without checks."""
        raise NotImplementedError

    def instances_of(self, path: str, objects: Iterable[RotatedObject]) -> list[dict]:
        """The objects of a file that belong to one of the classes, in the form of MMEngine's datasets."""
        labels = {name: label for label, name in enumerate(self.metainfo['classes'])}
        known, others = [], Counter()
        for polygon, name, difficulty in objects:
            if name in labels:
                known.append(dict(bbox=list(polygon), bbox_label=labels[name],
                                  ignore_flag=int(difficulty > self.difficulty_limit)))
            else:
                others[name] += 1
        if others and self.strict:
            raise ValueError(f'{path} has objects of unknown classes: {_counts(others)}; {type(self).__name__} knows '
                             f'{", ".join(labels)}. Correct the file, or set strict=False to leave such objects out')
        self.unknown.update(others)
        return known

    def filter_data(self) -> list[dict]:
        """Leave out useless and thin boxes, then images without a target; in a test nothing is left out."""
        settings = self.filter_cfg or {}
        if self.test_mode:
            return self.data_list
        self._leave_out_useless()
        if settings.get('min_side'):
            for info in self.data_list:
                sides = short_sides([instance['bbox'] for instance in info['instances']])
                info['instances'] = [instance for instance, side in zip(info['instances'], sides, strict=True)
                                     if side >= settings['min_side']]
        if not settings.get('filter_empty_gt'):
            return self.data_list
        kept = [info for info in self.data_list
                if any(not instance['ignore_flag'] for instance in info['instances'])]
        if not kept:
            raise ValueError(f'{type(self).__name__}: none of {len(self.data_list)} images of {self.ann_file} has a '
                             f'target under filter_cfg={dict(settings)} and the classes '
                             f'{", ".join(self.metainfo["classes"])}; compare the classes with the names in the label '
                             'files, and min_side (pixels of the file) with the objects')
        return kept

    def _leave_out_useless(self) -> None:
        """Leave out boxes without area and copies, which say nothing or count twice, and report their numbers."""
        flat = copies = 0
        for info in self.data_list:
            found = {(*instance['bbox'], instance['bbox_label'], instance['ignore_flag']): instance
                     for instance in info['instances']}
            copies += len(info['instances']) - len(found)
            kept = [instance for instance in found.values() if not is_flat(instance['bbox'])]
            flat += len(found) - len(kept)
            info['instances'] = kept
        if flat or copies:
            print_log(f'{type(self).__name__} left out {flat} boxes without area and {copies} copies of boxes in '
                      f'{self.ann_file}; correct the label files if these are objects', 'current', logging.WARNING)

    def _check_images(self, data_list: Sequence[dict]) -> None:
        """Compare with a listing of the folder, which is much faster than a check of every file."""
        folder = self.data_prefix['img_path']
        if getattr(self, 'backend_args', None):
            return
        if not osp.isdir(folder):
            raise FileNotFoundError(f'image directory {folder} does not exist (data_root={self.data_root!r}); correct '
                                    'the config or prepare the data')
        present = set(os.listdir(folder))
        lost = [info['img_path'] for info in data_list if osp.basename(info['img_path']) not in present]
        if lost:
            raise FileNotFoundError(f'{len(lost)} of {len(data_list)} images of {self.ann_file} do not exist: '
                                    f'{", ".join(lost[:3])}')

    def _report_unknown(self) -> None:
        print_log(f'{type(self).__name__} left out {sum(self.unknown.values())} objects of unknown classes in '
                  f'{self.ann_file}: {_counts(self.unknown)}; strict=True makes this an error', 'current',
                  logging.WARNING)


def short_sides(polygons: Sequence[Sequence[float]]) -> list[float]:
    """Shorter side, in pixels, of the smallest rotated rectangle around each polygon (8 numbers)."""
    return [min(cv2.minAreaRect(np.array(polygon, np.float32).reshape(4, 2))[1]) for polygon in polygons]


def is_flat(polygon: Sequence[float]) -> bool:
    """Whether the smallest rotated rectangle around a polygon (8 numbers) has a side below 0.01 pixels."""
    x, y = polygon[::2], polygon[1::2]
    area = abs((x[2] - x[0]) * (y[3] - y[1]) - (x[3] - x[1]) * (y[2] - y[0])) / 2
    # The rectangle has at least this area, and its longer side at most this length; the exact way is slow.
    if area > LEAST_SIDE * (max(x) - min(x) + max(y) - min(y)):
        return False
    return short_sides([polygon])[0] < LEAST_SIDE


def _counts(names: Counter) -> str:
    shown = ', '.join(f'{name!r} ({count})' for name, count in names.most_common(10))
    return shown + (', ...' if len(names) > 10 else '')
