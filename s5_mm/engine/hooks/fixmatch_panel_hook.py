"""Show what FixMatch sees: one picture every so many iterations."""
import cv2
import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from s5_mm.models import FixMatchSegmentor
from s5_mm.registry import HOOKS

IGNORED = (255, 255, 255)


@HOOKS.register_module()
class FixMatchPanelHook(Hook):
    """Send a panel to the visualizer: labeled image, ground truth, weak view, pseudo-label, strong view, prediction.

    Pixels that do not count (padding, below the threshold) are white in the label maps.

    Args:
        interval: Iterations between two panels, at least 1.

    Raises:
        ValueError: ``interval`` below 1.
    """

    def __init__(self, interval: int = 500) -> None:
        if interval < 1:
            raise ValueError(f'FixMatchPanelHook: interval is {interval}, it must be at least 1.')
        self.interval = interval

    def before_train(self, runner: Runner) -> None:
        """Check that the model can show its views."""
        model = _unwrap(runner)
        if not isinstance(model, FixMatchSegmentor):
            raise TypeError(f'FixMatchPanelHook shows views of a FixMatchSegmentor, the model is a '
                            f'{type(model).__name__}; remove the hook from custom_hooks.')

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Ask the model to keep its views in this iteration."""
        _unwrap(runner).keep_views = is_main_process() and self.every_n_train_iters(runner, self.interval)

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Draw the views that were kept."""
        model = _unwrap(runner)
        if model.keep_views:
            palette = np.array(runner.visualizer.dataset_meta['palette'], dtype=np.uint8)
            runner.visualizer.add_image('fixmatch', draw_panel(model.views, palette), step=runner.iter + 1)
            model.keep_views, model.views = False, {}


def draw_panel(views: dict[str, Tensor], palette: np.ndarray) -> np.ndarray:
    """Draw the views of one FixMatch step in two rows of three.

    Args:
        views: ``FixMatchSegmentor.views``: images (3, H, W) in [0, 1] and label maps (H, W).
        palette: RGB of the classes, (K, 3), uint8.

    Returns:
        RGB picture, (2 * (H + caption), 3 * W, 3), uint8.
    """
    truth, pseudo = views['ground_truth'], views['pseudo_label']
    tiles = {
        'labeled image': _image(views['labeled']),
        'ground truth': _colors(truth, truth < len(palette), palette),
        'prediction on strong view': _colors(views['prediction'], None, palette),
        'weak view': _image(views['weak']),
        'pseudo-label, white: ignored': _colors(pseudo, views['confident'], palette),
        'strong view': _image(views['strong']),
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


def _unwrap(runner: Runner) -> FixMatchSegmentor:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
