"""Draw the views of a semi-supervised model at intervals."""
from functools import partial

import cv2
import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from s5_mm.models import SemiBaseSegmentor, SemiStep
from s5_mm.models.networks import unwrapped
from s5_mm.registry import HOOKS

IGNORED = (255, 255, 255)


@HOOKS.register_module()
class SemiPanelHook(Hook):
    """Send a panel to the visualizer: labeled image, ground truth, weak view, pseudo-label, strong view, prediction.

    It shows the first image of each source, and the first strong view of a method with several. Pixels that do not
    count (padding, below the threshold) are white in the label maps.

    Args:
        interval: Iterations between two panels, at least 1.

    Raises:
        ValueError: ``interval`` below 1.
    """

    def __init__(self, interval: int = 500) -> None:
        if interval < 1:
            raise ValueError(f'SemiPanelHook: interval is {interval}; it must be at least 1.')
        self.interval = interval

    def before_train(self, runner: Runner) -> None:
        """Check that the model can be observed.

        Raises:
            TypeError: It is no :class:`s5_mm.SemiBaseSegmentor`.
        """
        model = unwrapped(runner.model)
        if not isinstance(model, SemiBaseSegmentor):
            raise TypeError(f'SemiPanelHook draws the views of a SemiBaseSegmentor (e.g. FixMatchSegmentor), the model '
                            f'is a {type(model).__name__}; remove the hook from custom_hooks.')

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Observe the model in the iterations that are drawn."""
        if is_main_process() and self.every_n_train_iters(runner, self.interval):
            unwrapped(runner.model).observer = partial(self.draw, runner)

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """End the observation."""
        unwrapped(runner.model).observer = None

    def draw(self, runner: Runner, step: SemiStep) -> None:
        """Draw a training step and send the picture to the visualizer."""
        palette = np.array(runner.visualizer.dataset_meta['palette'], dtype=np.uint8)
        panel = draw_panel(unwrapped(runner.model), step, palette)
        runner.visualizer.add_image('views', panel, step=runner.iter + 1)


def draw_panel(model: SemiBaseSegmentor, step: SemiStep, palette: np.ndarray) -> np.ndarray:
    """Draw the first images of a training step in two rows of three.

    Args:
        model: The model; it knows the normalization and which pixels are confident.
        step: The tensors of the step.
        palette: RGB of the classes, (K, 3), uint8.

    Returns:
        RGB picture, (2 * (H + caption), 3 * W, 3), uint8.
    """
    batch, target = step.batch, step.target
    truth = batch.labeled_samples[0].gt_sem_seg.data[0]
    labeled, weak, strong = (_image(model.to_pixels(images[0]))
                             for images in (batch.labeled, batch.weak, step.views[0].images))
    tiles = {
        'labeled image': labeled,
        'ground truth': _colors(truth, truth < len(palette), palette),
        'prediction on strong view': _colors(step.logits[0][0].argmax(dim=0), None, palette),
        'weak view': weak,
        'pseudo-label, white: ignored': _colors(target.label[0], model.consistency.counted(target)[0] > 0, palette),
        'strong view': strong,
    }
    captioned = [_captioned(name, tile) for name, tile in tiles.items()]
    return np.vstack([np.hstack(captioned[:3]), np.hstack(captioned[3:])])


def _image(pixels: Tensor) -> np.ndarray:
    return (pixels * 255).round().byte().permute(1, 2, 0).cpu().numpy()


def _colors(labels: Tensor, shown: Tensor | None, palette: np.ndarray) -> np.ndarray:
    labels = labels.cpu().numpy()
    shown = np.ones_like(labels, dtype=bool) if shown is None else shown.cpu().numpy()
    picture = np.full((*labels.shape, 3), IGNORED, dtype=np.uint8)
    picture[shown] = palette[labels[shown]]
    return picture


def _captioned(name: str, tile: np.ndarray) -> np.ndarray:
    """A tile at least 256 px wide with its name above."""
    tile = np.repeat(np.repeat(tile, scale := -(-256 // tile.shape[1]), axis=0), scale, axis=1)
    strip = np.full((20, tile.shape[1], 3), 32, dtype=np.uint8)
    cv2.putText(strip, name, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([strip, tile])
