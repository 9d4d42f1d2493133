"""Mean IoU and F1 over a subset of the classes."""
import logging
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.logging import print_log
from mmseg.evaluation import IoUMetric as MMSegIoUMetric
from torch import Tensor

from s5_mm.registry import METRICS

TABLE_ONLY = ('Precision', 'Recall')
"""Values of each class that are shown in the table but not reported as metrics, to keep logs readable."""


@METRICS.register_module()
class S5IoUMetric(MMSegIoUMetric):
    """mmseg's metric, with classes excluded from the means, values of each class, and an F score over all other
    classes.

    Pixels of another class that are predicted as an excluded class still count as wrong. Classes that occur neither in
    truth nor in prediction are not part of a mean; if no class is left (all pixels are ignored, for example), the mean
    is 0, with a warning. Images without labels are not scored; if none has any, there is no metric, and a warning says
    so. The values of each class are reported beside the means, e.g. ``IoU.ship`` (``nan`` if undefined). Pixels are
    summed over the whole set in float64, since mmseg's float32 rounds above 16.8 million. mmseg leaves a class that is
    never predicted, or that is predicted but never true, out of ``mFscore``; here its score is 0.

    Args:
        excluded: Names of the classes that are excluded from the means, e.g. ``('background', )`` for iSAID.
        kwargs: Arguments of mmseg's metric: ``iou_metrics=['mIoU', 'mFscore']`` gives mIoU, mAcc, mFscore (F1),
            mPrecision, mRecall and aAcc.

    Raises:
        ValueError: An excluded class is not a class of the dataset; raised when the loop is built.
    """

    def __init__(self, excluded: tuple[str, ...] = (), **kwargs) -> None:
        super().__init__(**kwargs)
        self.excluded = tuple(excluded)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count the pixels of a batch.

        Args:
            data_batch: See mmseg.
            data_samples: Dicts with ``pred_sem_seg`` and, of images that are scored, ``gt_sem_seg``.
        """
        super().process(data_batch, [sample for sample in data_samples if self.format_only or 'gt_sem_seg' in sample])

    @property
    def dataset_meta(self) -> dict | None:
        """Meta information of the dataset."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        classes = dataset_meta['classes']
        unknown = sorted(set(self.excluded) - set(classes))
        if unknown:
            raise ValueError(f'S5IoUMetric: excluded class {unknown} is not a class of the dataset, which has '
                             f'{list(classes)}.')
        self._dataset_meta = dataset_meta

    @staticmethod
    def total_area_to_metrics(total_area_intersect: Tensor,
                              total_area_union: Tensor,
                              total_area_pred_label: Tensor,
                              total_area_label: Tensor,
                              metrics: list[str] = ('mIoU', ),
                              nan_to_num: int | None = None,
                              beta: int = 1) -> dict[str, np.ndarray]:
        """Values of each class. All but the F score are computed by mmseg.

        Args:
            total_area_intersect: Correctly predicted pixels of each class, (K, ); the other areas have the same shape.
            total_area_union: Pixels of the class in truth or prediction.
            total_area_pred_label: Pixels predicted as the class.
            total_area_label: Pixels of the class in truth.
            metrics: ``'mIoU'``, ``'mDice'``, ``'mFscore'``.
            nan_to_num: Replacement for undefined values; ``None`` keeps NaN.
            beta: Weight of recall in the F score.

        Returns:
            Name -> values (K, ), in [0, 1], and ``aAcc``.
        """
        areas = (total_area_intersect, total_area_union, total_area_pred_label, total_area_label)
        values = MMSegIoUMetric.total_area_to_metrics(*areas, metrics, nan_to_num, beta)
        if 'Fscore' in values:
            score = (1 + beta**2) * total_area_intersect / (beta**2 * total_area_label + total_area_pred_label)
            score = score if nan_to_num is None else torch.nan_to_num(score, nan=nan_to_num)
            values['Fscore'] = score.numpy()
        return values

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Sum the areas over the whole set, then average over the classes that are not excluded.

        Args:
            results: Areas of intersection, union, prediction and truth for each image, (K, ) each.

        Returns:
            Means and values of each class, in percent; nothing of a set without labels.
        """
        if not results:
            print_log('There is nothing to score: no image of the set has labels. tools/test.py --out DIR writes the '
                      'predictions.', 'current', logging.WARNING)
            return {}
        results = [tuple(area.double() for area in areas) for areas in results]
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', 'Mean of empty slice', RuntimeWarning)
            metrics = super().compute_metrics(results)
        if self.format_only:
            return metrics
        classes = self.dataset_meta['classes']
        counted = np.array([name not in self.excluded for name in classes])
        areas = [sum(area) for area in zip(*results, strict=True)]
        values = self.total_area_to_metrics(*areas, self.metrics, self.nan_to_num, self.beta)
        if np.isnan(values.pop('aAcc')):
            metrics['aAcc'] = 0.0
        for name, per_class in values.items():
            known = per_class[counted & ~np.isnan(per_class)]
            metrics[f'm{name}'] = round(float(known.mean()) * 100, 2) if len(known) else 0.0
            if name not in TABLE_ONLY:
                metrics.update({f'{name}.{label}': round(float(value) * 100, 2)
                                for label, value in zip(classes, per_class, strict=True)})
        if not areas[1][torch.from_numpy(counted)].any():
            print_log('No pixel of a class that is not excluded, neither in truth nor in prediction: the means are set '
                      'to 0.', 'current', logging.WARNING)
        if self.excluded:
            print_log(f'excluded from the means: {", ".join(self.excluded)}', 'current')
        return {name: float(value) for name, value in metrics.items()}
