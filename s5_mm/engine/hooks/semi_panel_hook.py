"""Draw the views of a semi-supervised model at intervals."""
from collections.abc import Sequence

import cv2
import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from s5_mm.models import SemiBaseSegmentor, SemiStep
from s5_mm.models.networks import unwrapped
from s5_mm.registry import HOOKS

HATCHED = np.array([(64, 64, 64), (176, 176, 176)], dtype=np.uint8)
"""Two grays in diagonal stripes: pixels that do not count. No image looks like that."""
STRIPE = 6
STRIP = 20
SMALLEST_TILE = 256


@HOOKS.register_module()
class SemiPanelHook(Hook):
    """Send a panel to the visualizer, with a legend of the classes.

    Upper row: labeled image, ground truth, weak view, its pseudo-label. Lower row: strong view, the prediction on it,
    what that is compared with, confidence of the weak view. It shows the first image of each source, and the first
    strong view of a method with several. Pixels that do not count (padding, no label, weight 0) are hatched.

    Args:
        interval: Iterations between two panels, at least 1.

    Raises:
        ValueError: ``interval`` below 1.
    """

    def __init__(self, interval: int = 500) -> None:
        if interval < 1:
            raise ValueError(f'SemiPanelHook: interval is {interval}; it must be at least 1.')
        self.interval = interval
        self.step: SemiStep | None = None

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
            unwrapped(runner.model).observers.append(self.keep)

    def keep(self, step: SemiStep) -> None:
        """Keep a training step until its end."""
        self.step = step

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """End the observation; draw what was seen and send it to the visualizer."""
        observers = unwrapped(runner.model).observers
        if self.keep in observers:
            observers.remove(self.keep)
        if self.step is None:
            return
        meta = runner.visualizer.dataset_meta
        palette = np.array(meta['palette'], dtype=np.uint8)
        classes = meta.get('classes') or [str(k) for k in range(len(palette))]
        panel = draw_panel(unwrapped(runner.model), self.step, palette, classes, f'iteration {runner.iter + 1}')
        self.step = None
        runner.visualizer.add_image('views', panel, step=runner.iter + 1)


def draw_panel(model: SemiBaseSegmentor, step: SemiStep, palette: np.ndarray, classes: Sequence[str],
               title: str = '') -> np.ndarray:
    """Draw the first images of a training step in two rows of four, between a title and a legend.

    Args:
        model: The model; it knows the normalization and which pixels count.
        step: The tensors of the step.
        palette: RGB of the classes, (K, 3), uint8.
        classes: Their names.
        title: What the panel is of.

    Returns:
        RGB picture, uint8. Tiles are at least :data:`SMALLEST_TILE` px wide, each with a caption above.
    """
    batch, target, view = step.batch, step.target, step.views[0]
    truth = batch.labeled_samples[0].gt_sem_seg.data[0]
    counted, compared = (model.consistency.counted(labels)[0] > 0 for labels in (target, view.target))
    labeled, weak, strong = (_image(model.to_pixels(images[:1])[0, model.shown_bands])
                             for images in (batch.labeled, batch.weak, view.images))
    tiles = {
        'labeled image': labeled,
        'ground truth': _colors(truth, truth < len(palette), palette),
        'weak view': weak,
        'pseudo-label': _colors(target.label[0], counted, palette),
        'strong view': strong,
        'prediction on strong view': _colors(step.logits[0][0].argmax(dim=0), None, palette),
        'compared with': _colors(view.target.label[0], compared, palette),
        'confidence, blue 0, yellow 1': _confidence(target.confidence[0]),
    }
    captioned = [np.vstack([_strip(name, tile.shape[1]), tile]) for name, tile in tiles.items()]
    rows = [np.hstack(captioned[:4]), np.hstack(captioned[4:])]
    width = rows[0].shape[1]
    rule = f'tau {model.consistency.tau}' if model.selection is None else type(model.selection).__name__
    share = counted.float().mean().item()
    heading = f'{title}   {rule}: {share:.1%} of the weak view counts, the rest is hatched'
    return np.vstack([_strip(heading, width), *rows, _legend(palette, classes, width)])


def _enlarged(tile: np.ndarray) -> np.ndarray:
    """A tile of at least the smallest width."""
    scale = -(-SMALLEST_TILE // tile.shape[1])
    return np.repeat(np.repeat(tile, scale, axis=0), scale, axis=1)


def _image(pixels: Tensor) -> np.ndarray:
    return _enlarged((pixels * 255).round().byte().permute(1, 2, 0).cpu().numpy())


def _confidence(confidence: Tensor) -> np.ndarray:
    gray = _enlarged((confidence * 255).round().byte().cpu().numpy())
    return cv2.cvtColor(cv2.applyColorMap(gray, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)


def _colors(labels: Tensor, shown: Tensor | None, palette: np.ndarray) -> np.ndarray:
    labels = _enlarged(labels.cpu().numpy())
    shown = np.ones_like(labels, dtype=bool) if shown is None else _enlarged(shown.cpu().numpy())
    rows, columns = np.indices(labels.shape)
    picture = HATCHED[(rows + columns) // STRIPE % 2]
    picture[shown] = palette[labels[shown]]
    return picture


def _strip(text: str, width: int) -> np.ndarray:
    """A dark strip with text."""
    strip = np.full((STRIP, width, 3), 32, dtype=np.uint8)
    cv2.putText(strip, text, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return strip


def _legend(palette: np.ndarray, classes: Sequence[str], width: int) -> np.ndarray:
    """A field of each class's color with its name, in as many strips as they need."""
    column = 160
    per_strip = max(1, width // column)
    strips = []
    for first in range(0, len(classes), per_strip):
        strip = _strip('', width)
        for i, k in enumerate(range(first, min(first + per_strip, len(classes)))):
            left = i * column
            strip[4:16, left + 4:left + 16] = palette[k]
            cv2.rectangle(strip, (left + 4, 4), (left + 16, 16), (128, 128, 128), 1)
            cv2.putText(strip, classes[k][:20], (left + 20, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (255, 255, 255), 1,
                        cv2.LINE_AA)
        strips.append(strip)
    return np.vstack(strips)
