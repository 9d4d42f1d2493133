"""Draw what a masked autoencoder sees and predicts at intervals."""
import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from s5_mm.models import MaskedAutoencoder
from s5_mm.models.networks import unwrapped
from s5_mm.registry import HOOKS


@HOOKS.register_module()
class ReconstructionHook(Hook):
    """Send a picture to the visualizer: a row for each image with the image, what the encoder sees, and what is made
    of it.

    Args:
        interval: Iterations between two pictures, at least 1.
        num_images: Images of the batch that are drawn, at most.
        bands: Positions of red, green and blue among the model's bands.

    Raises:
        ValueError: ``interval`` or ``num_images`` is below 1.
    """

    def __init__(self, interval: int = 1000, num_images: int = 4, bands: tuple[int, int, int] = (0, 1, 2)) -> None:
        if interval < 1 or num_images < 1:
            raise ValueError(f'ReconstructionHook: interval is {interval} and num_images {num_images}; both must be at '
                             'least 1.')
        self.interval = interval
        self.num_images = num_images
        self.bands = list(bands)

    def before_train(self, runner: Runner) -> None:
        """Check the model.

        Raises:
            TypeError: It is no :class:`s5_mm.MaskedAutoencoder`.
        """
        model = unwrapped(runner.model)
        if not isinstance(model, MaskedAutoencoder):
            raise TypeError(f'ReconstructionHook draws what a MaskedAutoencoder predicts, the model is a '
                            f'{type(model).__name__}; remove the hook from custom_hooks.')

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Draw images of the batch that was trained."""
        if not (is_main_process() and self.every_n_train_iters(runner, self.interval)):
            return
        model = unwrapped(runner.model)
        first = {key: values[:self.num_images] for key, values in data_batch.items()}
        with torch.random.fork_rng():  # other masks would be drawn in the iterations that follow
            images = model.data_preprocessor(first, False)['inputs']
            views = [images, *model.reconstruct(images)]
        rows = [np.hstack([self.pixels(model, view[i]) for view in views]) for i in range(len(images))]
        runner.visualizer.add_image('reconstruction', np.vstack(rows), step=runner.iter + 1)

    def pixels(self, model: MaskedAutoencoder, image: Tensor) -> np.ndarray:
        """A normalized image (bands, H, W) as RGB (H, W, 3), uint8."""
        preprocessor = model.data_preprocessor
        image = (image * preprocessor.std + preprocessor.mean)[self.bands]
        return image.clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
