"""Mean average precision of rotated boxes."""
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from prettytable import PrettyTable

from s5_mm.registry import METRICS

from .average_precision import MODES, DetectedImage, average_precision, match_class, precision_recall
from .detection_file import check_out_file, save_detections
from .polygon_overlaps import as_polygons
from .task1_zip import write_task1

IOU_RANGE = tuple(level / 100 for level in range(50, 100, 5))
"""COCO's thresholds, 0.5 to 0.95."""


@METRICS.register_module()
class RotatedMAP(BaseMetric):
    """mAP of rotated boxes with float64 overlaps of polygons and the matching rules of the public DOTA devkit.

    Predictions and true objects are rotated boxes (N, 5) or corners (N, 8) in px of the original image. Objects in
    ``ignored_instances`` are difficult: they need not be found, and their detections are ignored. A class without
    objects (apart from difficult ones) has the AP ``nan`` and is not part of the mean. If there is no other class, the
    mean is 0, with a warning. See :mod:`s5_mm.evaluation.average_precision` for the rules.

    Args:
        iou_thr: The IoU must be above this, in [0, 1).
        eval_mode: ``'11points'`` (DOTA, DIOR-R) or ``'area'``.
        iou_range: Whether to report ``mAP_50_95`` as well, the mean over the IoU thresholds 0.5, 0.55 ... 0.95.
        out_file: File ``*.npz`` for detections and true objects, which ``tools/analysis/detections.py`` reads.
        zip_file: Zip to write in the form of the DOTA server, with a file ``Task1_<class>.txt`` for every class, see
            :func:`s5_mm.evaluation.write_task1`.
        kwargs: Arguments of MMEngine's ``BaseMetric``.

    Raises:
        ValueError: An option is out of range. Also raised during the test, for boxes of another shape and labels that
            are not a class of the dataset.
    """

    def __init__(self,
                 iou_thr: float = 0.5,
                 eval_mode: str = '11points',
                 iou_range: bool = False,
                 out_file: str | None = None,
                 zip_file: str | None = None,
                 **kwargs) -> None:
        super().__init__(**kwargs)
        if not 0 <= iou_thr < 1:
            raise ValueError(f'{type(self).__name__}: iou_thr is {iou_thr}; it must be in [0, 1).')
        if eval_mode not in MODES:
            raise ValueError(f'{type(self).__name__}: eval_mode is {eval_mode!r}; choose one of {", ".join(MODES)}.')
        self.iou_thr = iou_thr
        self.eval_mode = eval_mode
        self.iou_range = iou_range
        self.out_file = check_out_file(out_file)
        self.zip_file = None if zip_file is None else Path(zip_file)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Collect detections and true objects of a batch.

        Args:
            data_batch: Not used.
            data_samples: Dicts with ``pred_instances``, ``gt_instances``, ``ignored_instances`` and ``img_path``.
        """
        num_classes = len(self.dataset_meta['classes'])
        self.results.extend(detected_image(sample, num_classes) for sample in data_samples)

    def compute_metrics(self, results: list[DetectedImage]) -> dict[str, float]:
        """Match detections with objects and average over the whole set.

        Args:
            results: The images.

        Returns:
            ``mAP``, ``AP.<class>`` and, with ``iou_range``, ``mAP_50_95``, in percent.
        """
        self.write(results)
        return self.mean_ap(results)

    def write(self, images: Sequence[DetectedImage]) -> None:
        """Write the files that are configured.

        Args:
            images: The images, each once.
        """
        if self.zip_file is not None:
            write_task1(self.zip_file, images, self.dataset_meta['classes'])
            print_log(f'detections in {len(images)} images are in {self.zip_file}', 'current')
        if self.out_file is not None:
            save_detections(self.out_file, images, self.dataset_meta['classes'])

    def mean_ap(self, images: Sequence[DetectedImage]) -> dict[str, float]:
        """Compute the metrics of images and log them as a table.

        Args:
            images: The images, each once.
        """
        classes = self.dataset_meta['classes']
        thresholds = (self.iou_thr, *(IOU_RANGE if self.iou_range else ()))
        table = PrettyTable(['class', 'objects', 'detections', 'recall', 'AP'])
        values = np.full((len(classes), len(thresholds)), np.nan)
        for label, name in enumerate(classes):
            matches = match_class(images, label)
            curves = [precision_recall(matches, iou_thr) for iou_thr in thresholds]
            values[label] = [100 * average_precision(curve, self.eval_mode) for curve in curves]
            recall = 100 * max(curves[0].recall, default=0.0) if matches.num_objects else float('nan')
            table.add_row([name, matches.num_objects, len(matches.scores), f'{recall:.2f}', f'{values[label, 0]:.2f}'])
        known = values[~np.isnan(values[:, 0])]
        if not len(known):
            print_log('No object of any class (apart from difficult ones): mAP is set to 0.', 'current',
                      logging.WARNING)
        means = known.mean(axis=0) if len(known) else np.zeros(len(thresholds))
        table.add_row(['mean', '', '', '', f'{means[0]:.2f}'])
        print_log(f'\n{table}', 'current')
        metrics = dict(mAP=means[0])
        if self.iou_range:
            metrics['mAP_50_95'] = means[1:].mean()
        metrics.update({f'AP.{name}': value for name, value in zip(classes, values[:, 0], strict=True)})
        return {name: round(float(value), 2) for name, value in metrics.items()}


def detected_image(sample: dict, num_classes: int) -> DetectedImage:
    """Detections and true objects of a data sample.

    Args:
        sample: Dict of a ``DetDataSample`` with predictions. Its true objects may be missing.
        num_classes: Number of classes of the dataset, for the check of labels.

    Raises:
        ValueError: A label is not a class, or boxes are neither (N, 5) nor (N, 8).
    """
    path = sample.get('img_path') or ''
    name = str(sample.get('img_id', Path(path).stem))
    polygons, labels = _boxes(sample['pred_instances'], name, num_classes)
    scores = np.asarray(sample['pred_instances']['scores'].detach().cpu().double())
    objects, true_labels = _boxes(sample.get('gt_instances') or {}, name, num_classes)
    difficult, difficult_labels = _boxes(sample.get('ignored_instances') or {}, name, num_classes)
    return DetectedImage(
        name=name,
        polygons=polygons,
        scores=scores,
        labels=labels,
        true_polygons=np.concatenate([objects, difficult]),
        true_labels=np.concatenate([true_labels, difficult_labels]),
        difficult=np.arange(len(objects) + len(difficult)) >= len(objects),
        path=path)


def _boxes(instances: dict, name: str, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Corners (N, 8) and labels (N, )."""
    if 'bboxes' not in instances or not len(instances['bboxes']):
        return np.zeros((0, 8)), np.zeros(0, np.int64)
    labels = np.asarray(instances['labels'].cpu(), np.int64)
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if len(wrong):
        raise ValueError(f'image {name} has a box of the label {wrong[0]}, the dataset has the classes '
                         f'0..{num_classes - 1}; num_classes of the detector and classes of the dataset must agree.')
    return as_polygons(instances['bboxes']), labels
