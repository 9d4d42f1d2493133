"""mAP of whole DOTA images from detections in their patches, and the submission to the DOTA server."""
import logging
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from s5_mm.datasets.rotated_files import read_dota_text
from s5_mm.registry import METRICS

from .average_precision import DetectedImage
from .patches import merge, parse_patch, to_image
from .rotated_map import RotatedMAP


@METRICS.register_module()
class DOTAMetric(RotatedMAP):
    """Merge the detections of patches into whole images and compare them with the labels of whole images.

    Patches are named ``IMAGE__SIZE__X___Y`` or ``IMAGE__RATE__X___Y``, see :func:`s5_mm.evaluation.parse_patch`.
    Non-maximum suppression uses overlaps in float64 (:mod:`s5_mm.ops`). ``mAP`` is that of whole images, with difficult
    objects ignored, as in the DOTA devkit; ``strict`` and ``diff_thr`` of the dataset decide on objects of other
    classes and on what is difficult. ``patch_mAP`` is that of the patches. It differs, because patches cut objects and
    objects in two patches count twice.

    Args:
        ann_dir: Folder with the label files ``IMAGE.txt`` of all whole images of the split. ``None`` for a test set
            without labels, which has no ``mAP``.
        merge_iou_thr: When patches are merged, a detection is dropped if its IoU with one of its class and a higher
            score is above this, in [0, 1]. The DOTA devkit uses 0.1, the published S5 exports with 0.5.
        format_only: Whether to write ``zip_file``, the submission to the server, without computing metrics.
        kwargs: Arguments of :class:`RotatedMAP`. ``zip_file`` and ``out_file`` hold the detections in whole images.

    Raises:
        ValueError: An option is out of range. Also raised during the test, for an image whose name is not that of a
            patch or that has no label file.
        FileNotFoundError: ``ann_dir`` does not exist.
    """

    def __init__(self,
                 ann_dir: str | None = None,
                 merge_iou_thr: float = 0.1,
                 format_only: bool = False,
                 **kwargs) -> None:
        super().__init__(**kwargs)
        if not 0 <= merge_iou_thr <= 1:
            raise ValueError(f'DOTAMetric: merge_iou_thr is {merge_iou_thr}; it must be in [0, 1].')
        if format_only and self.zip_file is None:
            raise ValueError('DOTAMetric: format_only=True needs zip_file, the file to write.')
        if ann_dir is not None and not Path(ann_dir).is_dir():
            raise FileNotFoundError(f'DOTAMetric: ann_dir {ann_dir} does not exist; it is the folder of the label '
                                    'files of whole images (labelTxt), or None for a test set without labels.')
        self.ann_dir = None if ann_dir is None else Path(ann_dir)
        self.merge_iou_thr = merge_iou_thr
        self.format_only = format_only

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Collect the detections of patches; an image without a label file is an error at once, not after the test."""
        super().process(data_batch, data_samples)
        if self.ann_dir is not None:
            new = {parse_patch(patch.name).image for patch in self.results[-len(data_samples):]}
            lost = [name for name in new if not (self.ann_dir / f'{name}.txt').is_file()]
            _refuse_unlabeled(lost, len(new), self.ann_dir)

    def compute_metrics(self, results: list[DetectedImage]) -> dict[str, float]:
        """Merge the patches, write the files that are configured, and compute the metrics.

        Args:
            results: The patches.

        Returns:
            ``mAP``, ``AP.<class>`` and, with ``iou_range``, ``mAP_50_95`` of whole images if they have labels, and
            ``patch_mAP`` if the patches have labels; in percent.
        """
        images = merge_images(results, self.merge_iou_thr)
        if self.ann_dir is not None:
            meta = self.dataset_meta
            images = with_labels(images, self.ann_dir, meta['classes'], meta.get('strict', True),
                                 meta.get('difficulty_limit', 0))
        self.write(images)
        metrics = {}
        if self.format_only:
            return metrics
        if any(len(patch.true_labels) for patch in results):
            print_log(f'{len(results)} patches:', 'current')
            metrics['patch_mAP'] = self.mean_ap(results)['mAP']
        if self.ann_dir is not None:
            print_log(f'{len(images)} whole images:', 'current')
            metrics = self.mean_ap(images) | metrics
        return metrics


def merge_images(patches: Sequence[DetectedImage], iou_thr: float) -> list[DetectedImage]:
    """Merge the detections of patches; true objects are dropped.

    Args:
        patches: Detections in patches, with names as :func:`s5_mm.evaluation.parse_patch` reads them.
        iou_thr: See :func:`s5_mm.evaluation.merge`.

    Returns:
        Whole images, sorted by name.

    Raises:
        ValueError: A name is not that of a patch.
    """
    parts = defaultdict(dict)
    for found in patches:
        patch = parse_patch(found.name)
        # A patch that two processes have tested counts once.
        parts[patch.image][found.name] = (to_image(found.polygons, patch), found.scores, found.labels)
    images = []
    for name in sorted(parts):
        polygons, scores, labels = merge(parts[name].values(), iou_thr)
        images.append(DetectedImage(name, polygons, scores, labels, *_no_objects()))
    return images


def with_labels(images: Sequence[DetectedImage], ann_dir: Path, classes: Sequence[str], strict: bool = True,
                difficulty_limit: int = 0) -> list[DetectedImage]:
    """Add the true objects of whole images.

    Args:
        images: Detections.
        ann_dir: Folder with a label file for each image. An image that has a label file, but no
            detections, is added.
        classes: Names of the classes, by label.
        strict: Whether an object of another class is an error; otherwise it is left out.
        difficulty_limit: Objects of a higher difficulty are difficult.

    Returns:
        Images, sorted by name.

    Raises:
        ValueError: An image has no label file, or a label file is malformed or has an unknown class.
    """
    files = {path.stem: path for path in ann_dir.glob('*.txt')}
    found = {image.name: image for image in images}
    _refuse_unlabeled(set(found) - set(files), len(found), ann_dir)
    missed = sorted(set(files) - set(found))
    if missed:
        print_log(f'{len(missed)} of {len(files)} images in {ann_dir} had no patch in the test; their objects count as '
                  f'missed: {", ".join(missed[:3])}', 'current', logging.WARNING)
    none = (np.zeros((0, 8)), np.zeros(0), np.zeros(0, np.int64))
    labeled = []
    for name, path in sorted(files.items()):
        image = found.get(name) or DetectedImage(name, *none, *_no_objects())
        objects, labels, difficult = read_objects(path, classes, strict, difficulty_limit)
        labeled.append(replace(image, true_polygons=objects, true_labels=labels, difficult=difficult))
    return labeled


def _refuse_unlabeled(unlabeled: Collection[str], number: int, ann_dir: Path) -> None:
    if unlabeled:
        raise ValueError(f'DOTAMetric: {len(unlabeled)} of {number} images have no label file in ann_dir '
                         f'{ann_dir}: {", ".join(sorted(unlabeled)[:3])}; ann_dir must be labelTxt of the whole images '
                         'of this split, or None for a test set without labels.')


def read_objects(path: Path, classes: Sequence[str], strict: bool = True,
                 difficulty_limit: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read a DOTA label file.

    Args:
        path: The file.
        classes: Names of the classes, by label.
        strict: Whether an object of another class is an error; otherwise it is left out.
        difficulty_limit: Objects of a higher difficulty are difficult.

    Returns:
        Corners (M, 8), float64, labels (M, ), and which are difficult (M, ).

    Raises:
        ValueError: A line is malformed, or a class is unknown (``strict``).
    """
    objects = read_dota_text(str(path))
    unknown = sorted({name for _, name, _ in objects} - set(classes))
    if unknown and strict:
        raise ValueError(f'{path} has the class {unknown[0]}, the dataset has {", ".join(classes)}; choose the '
                         'version of DOTA that the labels are of, or set strict=False of the dataset to leave such '
                         'objects out.')
    objects = [found for found in objects if found.name in classes]
    polygons = np.array([polygon for polygon, _, _ in objects], np.float64).reshape(-1, 8)
    labels = np.array([list(classes).index(name) for _, name, _ in objects], np.int64)
    return polygons, labels, np.array([difficulty > difficulty_limit for _, _, difficulty in objects], bool)


def _no_objects() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.zeros((0, 8)), np.zeros(0, np.int64), np.zeros(0, bool)
