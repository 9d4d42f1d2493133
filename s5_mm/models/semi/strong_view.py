"""Photometric strong view, batched on the device of the images."""
import torch
from kornia.augmentation import ColorJitter, RandomGaussianBlur, RandomGrayscale
from torch import Tensor, nn

from s5_mm.registry import MODELS


@MODELS.register_module()
class StrongView(nn.Module):
    """Color jitter, grayscale and blur, drawn for each image; defaults as in S5 (arXiv 2508.12409).

    Factors come from torch's global CPU generator. Geometry stays, so that pseudo-labels of the weak view fit. Bands
    beside red, green and blue (near infrared, for example) have no color: their brightness and contrast are jittered,
    by factors of their own, and they are blurred with the others.

    Args:
        jitter: Brightness, contrast, saturation and hue; factors are drawn from 1 +- the first three, hue is turned by
            up to +- the last, as a share of the color circle.
        jitter_prob: Share of the images that are jittered.
        gray_prob: Share made gray.
        blur_prob: Share blurred.
        blur_sigma: Smallest and largest standard deviation of the Gaussian blur, in pixels.
        rgb: Positions of red, green and blue among the bands, from 0; ``None``: no band has a color.

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(self,
                 jitter: tuple[float, float, float, float] = (0.5, 0.5, 0.5, 0.25),
                 jitter_prob: float = 0.8,
                 gray_prob: float = 0.2,
                 blur_prob: float = 0.5,
                 blur_sigma: tuple[float, float] = (0.1, 2.0),
                 rgb: tuple[int, int, int] | None = (0, 1, 2)) -> None:
        super().__init__()
        if len(jitter) != 4 or min(jitter) < 0 or jitter[3] > 0.5:
            raise ValueError(f'StrongView: jitter is {jitter}, it must be four numbers from 0 (brightness, contrast, '
                             'saturation, hue), hue up to 0.5.')
        for name, prob in dict(jitter_prob=jitter_prob, gray_prob=gray_prob, blur_prob=blur_prob).items():
            if not 0 <= prob <= 1:
                raise ValueError(f'StrongView: {name} is {prob}, it must lie in [0, 1].')
        if len(blur_sigma) != 2 or not 0 < blur_sigma[0] <= blur_sigma[1]:
            raise ValueError(f'StrongView: blur_sigma is {blur_sigma}, it must be (smallest, largest) above 0.')
        if rgb is not None and (len(set(rgb)) != 3 or len(rgb) != 3 or min(rgb) < 0):
            raise ValueError(f'StrongView: rgb is {rgb}, it must be three different positions from 0, or None.')
        kernel = 2 * round(3 * blur_sigma[1]) + 1
        self.rgb = None if rgb is None else list(rgb)
        self.color = nn.Sequential(ColorJitter(*jitter, p=jitter_prob), RandomGrayscale(p=gray_prob))
        self.light = ColorJitter(*jitter[:2], p=jitter_prob)
        self.blur = RandomGaussianBlur((kernel, kernel), tuple(blur_sigma), p=blur_prob)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Distort each image.

        Args:
            images: (N, bands, H, W), fp32, in [0, 1].

        Returns:
            Of the same shape and range.

        Raises:
            ValueError: There are fewer bands than ``rgb`` asks for.
        """
        bands = images.shape[1]
        if self.rgb is not None and max(self.rgb) >= bands:
            raise ValueError(f'StrongView: rgb is {self.rgb}, the images have {bands} bands; give positions among '
                             'them, or None.')
        if self.rgb == list(range(bands)):
            return self.blur(self.color(images))
        distorted = images.clone()
        if self.rgb is not None:
            distorted[:, self.rgb] = self.color(images[:, self.rgb])
        others = [band for band in range(bands) if self.rgb is None or band not in self.rgb]
        if others:
            distorted[:, others] = self.light(images[:, others])
        return self.blur(distorted)
