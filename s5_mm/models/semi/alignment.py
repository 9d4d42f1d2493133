"""Alignment: pseudo-labels with the class shares, or the class confidences, of the labeled images.

Shapes: B images of H x W pixels, K classes.
"""
import torch
from torch import Tensor, nn

from s5_mm.registry import MODELS

from .statistics import class_counts, mean_scores, moments

EPSILON = 1e-6


class Alignment(nn.Module):
    """Base of alignments: each class's probability is multiplied by a ratio, then all are divided by their sum.

    Its buffers are saved with the model, so that a resumed run goes on with the same numbers.

    Args:
        num_classes: K; the model gives it.
        momentum: Share of an old average in the new one, in [0, 1).
        exponent: Of the ratio, above 0; below 1 for half measures.
        limit: Ratios stay within 1 / limit and limit, above 1. Without a limit a class that the labels do not show for
            a while could never be a pseudo-label again.

    Raises:
        ValueError: An option is out of range.
    """

    needs_labeled_scores = False

    def __init__(self, num_classes: int, momentum: float = 0.99, exponent: float = 1.0, limit: float = 10.0) -> None:
        super().__init__()
        name = type(self).__name__
        if not 0 <= momentum < 1:
            raise ValueError(f'{name}: momentum is {momentum}, it must lie in [0, 1).')
        if exponent <= 0:
            raise ValueError(f'{name}: exponent is {exponent}, it must be above 0; switch it off with alignment=None.')
        if limit <= 1:
            raise ValueError(f'{name}: limit is {limit}, it must be above 1; ratios stay within 1 / limit and limit.')
        self.num_classes = num_classes
        self.momentum = momentum
        self.exponent = exponent
        self.limit = limit

    def update_labeled(self, truth: Tensor, scores: Tensor | None) -> None:
        """Learn from the labeled images of a step.

        Args:
            truth: (B, H, W), int64; ids from K on are ignored.
            scores: Probabilities by the evaluated network, (B, K, H, W), if ``needs_labeled_scores``.
        """

    def update(self, scores: Tensor, valid: Tensor) -> None:
        """Learn from the weak views of a step.

        Args:
            scores: Probabilities, (B, K, H, W), not aligned.
            valid: True where there is image, (B, H, W).
        """

    def ratios(self) -> Tensor:
        """Factor of each class before exponent and limit, (K, )."""
        raise NotImplementedError

    def log_ratios(self) -> Tensor:
        """What is added to the logits of each class, (K, )."""
        ratios = self.ratios() ** self.exponent
        return ratios.clamp(1 / self.limit, self.limit).log()

    def forward(self, logits: Tensor) -> Tensor:
        """Aligned logits of the same shape, (B, K, H, W)."""
        return logits + self.log_ratios().to(logits)[:, None, None]


@MODELS.register_module()
class ShareAlignment(Alignment):
    """Alignment to class shares (ReMixMatch, arXiv 1911.09785; with the labels' shares as DARP and CReST have it).

    The ratio of a class is its wanted share over the mean probability that the network gives it on the weak views, a
    moving average whose first value is that of the first batch.

    Args:
        num_classes: K; the model gives it.
        shares: Wanted share of each class; they are divided by their sum. ``None``: the mean of the labels that
            training has shown so far. Crops without objects are often left out of the labeled ones; shares counted
            before that (``tools/analysis/class_shares.py``) fit the pool better.
        kwargs: As :class:`Alignment` takes them.

    Raises:
        ValueError: The shares are not K numbers of at least 0, or an option is out of range.
    """

    def __init__(self, num_classes: int, shares: list[float] | None = None, **kwargs: float) -> None:
        super().__init__(num_classes, **kwargs)
        if shares is not None and (len(shares) != num_classes or min(shares) < 0 or not sum(shares) > 0):
            raise ValueError(f'ShareAlignment: shares are {list(shares)}; give {num_classes} numbers of at least 0, '
                             'one for each class of the decode head, or None.')
        self.learns_shares = shares is None
        wanted = torch.ones(num_classes) if shares is None else torch.tensor(shares)
        self.register_buffer('wanted', wanted.double() / wanted.sum())
        self.register_buffer('predicted', torch.full((num_classes, ), 1 / num_classes).double())
        self.register_buffer('steps', torch.zeros((), dtype=torch.int64))
        self.register_buffer('counts', torch.zeros(num_classes).double())

    def update_labeled(self, truth: Tensor, scores: Tensor | None) -> None:
        """Count the labels, see :class:`Alignment`."""
        if self.learns_shares:
            self.counts += class_counts(truth, self.num_classes)
            self.wanted.copy_(self.counts / self.counts.sum().clamp(min=1))

    def update(self, scores: Tensor, valid: Tensor) -> None:
        """Average the predicted shares, see :class:`Alignment`."""
        found = mean_scores(scores, valid)
        self.predicted.lerp_(found, 1 - (self.momentum if self.steps else 0))
        self.steps += 1

    def ratios(self) -> Tensor:
        """Wanted over predicted share, (K, )."""
        return (self.wanted + EPSILON) / (self.predicted + EPSILON)


@MODELS.register_module()
class ConfidenceAlignment(Alignment):
    """Alignment of confidences (DAW, NeurIPS 2023): a class is not surer on unlabeled images than on labeled ones.

    The ratio of a class is the mean confidence of labeled pixels that are predicted as it over that of unlabeled ones;
    both are moving averages from 1 / K.

    Args:
        num_classes: K; the model gives it.
        kwargs: As :class:`Alignment` takes them.
    """

    needs_labeled_scores = True

    def __init__(self, num_classes: int, **kwargs: float) -> None:
        super().__init__(num_classes, **kwargs)
        self.register_buffer('labeled', torch.full((num_classes, ), 1 / num_classes).double())
        self.register_buffer('unlabeled', self.labeled.clone())

    def update_labeled(self, truth: Tensor, scores: Tensor | None) -> None:
        """Average the confidences of labeled pixels, see :class:`Alignment`."""
        self._average(self.labeled, scores, truth < self.num_classes)

    def update(self, scores: Tensor, valid: Tensor) -> None:
        """Average the confidences of unlabeled pixels, see :class:`Alignment`."""
        self._average(self.unlabeled, scores, valid)

    def _average(self, average: Tensor, scores: Tensor, valid: Tensor) -> None:
        confidence, label = scores.max(dim=1)
        found = moments(confidence[valid], label[valid], self.num_classes)
        moved = average.lerp(found.mean, 1 - self.momentum)
        average.copy_(torch.where(found.number > 0, moved, average))

    def ratios(self) -> Tensor:
        """Labeled over unlabeled confidence, (K, )."""
        return self.labeled / self.unlabeled
