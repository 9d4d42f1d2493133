"""Sampling of images that show rare classes."""
import numpy as np


class RareClasses:
    """Draw a class, then an image that shows it (rare class sampling of DAFormer, arXiv 2111.14887).

    A class c with the share f_c of the pixels is drawn with the probability softmax((1 - f_c) / temperature). The
    published code also looks for a crop that shows the class; here the images are crops already.

    Args:
        pixels: Pixels of each class in each image, (n, K).
        temperature: Above 0; the lower, the more often rare classes are drawn.
        min_pixels: Pixels of the class that an image needs, at least 1. Of a class that no image shows so often, the
            images that show it at all are drawn.

    Raises:
        ValueError: An option is out of range, or no image shows any class.

    Attributes:
        probs: Probability of each class, (K, ); 0 for classes that no image shows.
    """

    def __init__(self, pixels: np.ndarray, temperature: float = 0.01, min_pixels: int = 100) -> None:
        if temperature <= 0 or min_pixels < 1:
            raise ValueError(f'RareClasses: temperature is {temperature} and min_pixels {min_pixels}; the first must '
                             'be above 0, the second at least 1.')
        totals = pixels.sum(axis=0)
        if not totals.any():
            raise ValueError('RareClasses: no image shows any class, so there is nothing to draw by.')
        scores = np.where(totals > 0, (1 - totals / totals.sum()) / temperature, -np.inf)
        weights = np.exp(scores - scores.max())
        self.probs = weights / weights.sum()
        enough = np.where((pixels >= min_pixels).any(axis=0), min_pixels, 1)
        self.images = [np.flatnonzero(column) for column in (pixels >= enough).T]

    def draw(self, rng: np.random.Generator) -> int:
        """Position of an image, 0-based."""
        chosen = rng.choice(len(self.probs), p=self.probs)
        return int(rng.choice(self.images[chosen]))
