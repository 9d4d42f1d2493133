"""Mean IoU over chosen classes."""
import numpy as np
from mmengine.logging import print_log
from mmseg.evaluation import IoUMetric as MMSegIoUMetric

from s5_mm.registry import METRICS


@METRICS.register_module()
class IoUMetric(MMSegIoUMetric):
    """mmseg's metric with classes left out of the means; the table per class shows them all.

    A left-out class is still a class: predicting it for another one's pixels counts against that one. Classes that
    occur neither in truth nor in prediction are not part of a mean either. Beside the means, each class's value is
    reported, e.g. ``IoU.ship``. Pixels are summed in float64: mmseg's float32 rounds above 16.8 million.

    Args:
        excluded: Names of the classes left out of the means, e.g. ``('background', )`` for iSAID.
        kwargs: As mmseg's metric takes them.

    Raises:
        ValueError: An excluded class is no class of the data set; raised when the loop is built.
    """

    def __init__(self, excluded: tuple[str, ...] = (), **kwargs) -> None:
        super().__init__(**kwargs)
        self.excluded = tuple(excluded)

    @property
    def dataset_meta(self) -> dict | None:
        """Meta information of the data set."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        classes = dataset_meta['classes']
        unknown = sorted(set(self.excluded) - set(classes))
        if unknown:
            raise ValueError(f'IoUMetric: excluded class {unknown} is no class of the data set, which has '
                             f'{list(classes)}.')
        self._dataset_meta = dataset_meta

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Sum the areas over the whole set, then average over the classes that count.

        Args:
            results: Areas of intersection, union, prediction and truth for each image, (K, ) each.

        Returns:
            Means and values of each class, in per cent.
        """
        results = [tuple(area.double() for area in areas) for areas in results]
        metrics = super().compute_metrics(results)
        if self.format_only:
            return metrics
        classes = self.dataset_meta['classes']
        counted = np.array([name not in self.excluded for name in classes])
        areas = [sum(area) for area in zip(*results, strict=True)]
        values = self.total_area_to_metrics(*areas, self.metrics, self.nan_to_num, self.beta)
        values.pop('aAcc')
        for name, per_class in values.items():
            known = per_class[counted & ~np.isnan(per_class)]
            metrics[f'm{name}'] = round(float(known.mean()) * 100, 2) if len(known) else float('nan')
        main = next(iter(values))
        metrics.update({f'{main}.{label}': round(float(value) * 100, 2)
                        for label, value in zip(classes, values[main], strict=True)})
        if self.excluded:
            print_log(f'left out of the means: {", ".join(self.excluded)}', 'current')
        return {name: float(value) for name, value in metrics.items()}
