"""Draw predictions with the classes and colors of their own dataset."""
from collections.abc import Sequence
from pathlib import Path

import mmcv
import numpy as np
from mmengine.runner import Runner
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer
from torch import Tensor

from s5_mm.hosts import swaps_channels
from s5_mm.models.networks import unwrapped
from s5_mm.registry import HOOKS


@HOOKS.register_module()
class MultiDatasetVisualizationHook(SegVisualizationHook):
    """mmseg's hook for loops over several datasets; works for one dataset, too.

    Pictures are named after the dataset and the image. The image drawn on is the one that the dataset's own pipeline
    loaded, so that GeoTIFF and other files that OpenCV cannot read are drawn, too. The visualizer draws label maps or
    boxes. Class names are not written into label maps: mmseg takes seconds for each image to find space for them.

    Args:
        kwargs: As mmseg's hook takes them: ``draw``, ``interval``, ``show``, ``wait_time``.
    """

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: dict,
                       outputs: Sequence[SegDataSample]) -> None:
        """Draw the first image of every ``interval``-th batch."""
        step = runner.iter + batch_idx
        if self.draw and step % self.interval == 0:
            self._show(runner, 'val', data_batch['inputs'][0], outputs[0], step)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict,
                        outputs: Sequence[SegDataSample]) -> None:
        """Draw every image."""
        if not self.draw:
            return
        for image, sample in zip(data_batch['inputs'], outputs, strict=True):
            self._test_index += 1
            self._show(runner, 'test', image, sample, self._test_index)

    def _show(self, runner: Runner, mode: str, image: Tensor, sample: SegDataSample, step: int) -> None:
        metas = getattr(getattr(runner, f'{mode}_loop'), 'dataset_metas', {})
        name = sample.metainfo.get('dataset_name')
        if name in metas:
            self._visualizer.dataset_meta = metas[name]
        label = '_'.join(part for part in (mode, name, Path(sample.img_path).name) if part)
        options = dict(with_labels=False) if isinstance(self._visualizer, SegLocalVisualizer) else {}
        self._visualizer.add_datasample(
            label,
            picture(runner, image, sample.ori_shape),
            data_sample=sample,
            show=self.show,
            wait_time=self.wait_time,
            step=step,
            **options)


def picture(runner: Runner, image: Tensor, size: tuple[int, int]) -> np.ndarray:
    """A loaded image as a picture.

    Args:
        runner: Its model's data preprocessor states the order of the channels.
        image: (3, h, w), values 0-255, not yet normalized.
        size: Height and width of the picture.

    Returns:
        RGB, (height, width, 3), uint8.
    """
    if swaps_channels(unwrapped(runner.model).data_preprocessor):
        image = image.flip(0)
    pixels = image.float().round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
    return mmcv.imresize(np.ascontiguousarray(pixels), (size[1], size[0]))
