"""Selection: how much the pseudo-label of each pixel counts.

Shapes: B images of H x W pixels, K classes.
"""
import math

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from s5_mm.registry import MODELS

from .pseudo_label import PseudoLabel
from .statistics import mean_scores, moments


class Selection(nn.Module):
    """Base of selections. Their buffers are saved with the model, so that a resumed run goes on with the same numbers.

    Args:
        num_classes: K; the model gives it.
        momentum: Share of an old average in the new one, in [0, 1).

    Attributes:
        needs_labeled_scores: Whether the evaluated network must predict the labeled images, too: about a seventh more
            time a step.

    Raises:
        ValueError: ``momentum`` is out of range.
    """

    needs_labeled_scores = False

    def __init__(self, num_classes: int, momentum: float = 0.999) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise ValueError(f'{type(self).__name__}: momentum is {momentum}, it must lie in [0, 1).')
        self.num_classes = num_classes
        self.momentum = momentum

    def update_labeled(self, truth: Tensor, scores: Tensor | None) -> None:
        """Learn from the labeled images of a step.

        Args:
            truth: (B, H, W), int64; ids from K on are ignored.
            scores: Probabilities by the evaluated network, (B, K, H, W), if ``needs_labeled_scores``.
        """

    def update(self, scores: Tensor, target: PseudoLabel) -> None:
        """Learn from the weak views of a step.

        Args:
            scores: Probabilities, (B, K, H, W), after alignment.
            target: Their pseudo-label.
        """

    def forward(self, target: PseudoLabel) -> Tensor:
        """Weight of each pixel, (B, H, W), in [0, 1]; padding is the loss's affair."""
        raise NotImplementedError

    def thresholds(self) -> Tensor | None:
        """Confidence from which a pixel of each class counts, (K, ); ``None`` for rules without thresholds."""
        return None

    def _average(self, old: Tensor, new: Tensor, where: Tensor | None = None) -> None:
        """Move an average; ``where`` says which entries."""
        moved = old.lerp(new.to(old), 1 - self.momentum)
        old.copy_(moved if where is None else torch.where(where, moved, old))


class Threshold(Selection):
    """Base of rules with a threshold for each class, kept between a floor and a cap.

    Args:
        num_classes: K; the model gives it.
        floor: The lowest threshold, in [0, cap]. It keeps a class that the network is unsure of from being taken as it
            is.
        cap: The highest one, at most 1, so that a class that the network is sure of is not left out.
        momentum: As :class:`Selection` takes it.

    Raises:
        ValueError: The bounds are not in order, or ``momentum`` is out of range.
    """

    def __init__(self, num_classes: int, floor: float = 0.5, cap: float = 0.95, momentum: float = 0.999) -> None:
        super().__init__(num_classes, momentum)
        if not 0 <= floor <= cap <= 1:
            raise ValueError(f'{type(self).__name__}: floor is {floor} and cap {cap}; they must be in order and within '
                             '[0, 1].')
        self.floor = floor
        self.cap = cap

    def levels(self) -> Tensor:
        """The thresholds before floor and cap, (K, )."""
        raise NotImplementedError

    def thresholds(self) -> Tensor:
        """Confidence from which a pixel of each class counts, (K, )."""
        return self.levels().clamp(self.floor, self.cap)

    def forward(self, target: PseudoLabel) -> Tensor:
        """1 where the confidence reaches the threshold of the pixel's class, else 0, (B, H, W)."""
        return (target.confidence >= self.thresholds().to(target.confidence)[target.label]).to(target.confidence)


@MODELS.register_module()
class ClassMean(Threshold):
    """The threshold of a class is the mean confidence of the pixels that are predicted as it.

    Half of a class's pixels or so are then taken, whether the network is sure of it or not. The average starts at the
    cap.

    Args:
        num_classes: K; the model gives it.
        momentum: As :class:`Selection` takes it.
        kwargs: ``floor`` and ``cap`` of :class:`Threshold`.
    """

    def __init__(self, num_classes: int, momentum: float = 0.99, **kwargs: float) -> None:
        super().__init__(num_classes, momentum=momentum, **kwargs)
        self.register_buffer('average', torch.full((num_classes, ), float(self.cap)))

    def update(self, scores: Tensor, target: PseudoLabel) -> None:
        """Average the confidences, see :class:`Selection`."""
        found = moments(target.confidence[target.valid], target.label[target.valid], self.num_classes)
        self._average(self.average, found.mean, found.number > 0)

    def levels(self) -> Tensor:
        """The averages, (K, )."""
        return self.average


@MODELS.register_module()
class ClassQuantile(ClassMean):
    """The threshold of a class is a quantile of the confidences of the pixels that are predicted as it (CBST).

    CBST is arXiv 1810.07911. At most :data:`MAX_PIXELS` pixels of a process, evenly spread, are looked at in a step.

    Args:
        num_classes: K; the model gives it.
        quantile: Share of a class's pixels that is left out, in [0, 1].
        kwargs: As :class:`ClassMean` takes them.

    Raises:
        ValueError: ``quantile`` is out of range.
    """

    def __init__(self, num_classes: int, quantile: float = 0.5, **kwargs: float) -> None:
        super().__init__(num_classes, **kwargs)
        if not 0 <= quantile <= 1:
            raise ValueError(f'ClassQuantile: quantile is {quantile}, it must lie in [0, 1].')
        self.quantile = quantile

    def update(self, scores: Tensor, target: PseudoLabel) -> None:
        """Average the quantiles, see :class:`Selection`."""
        confidence, label = target.confidence[target.valid], target.label[target.valid]
        found = class_quantiles(confidence, label, self.num_classes, torch.tensor([self.quantile]))[:, 0]
        present = found.isfinite()
        sums = torch.stack([found.nan_to_num(0), present.to(found)])  # of all processes that show the class
        all_reduce(sums)
        self._average(self.average, sums[0] / sums[1].clamp(min=1), sums[1] > 0)


@MODELS.register_module()
class CorrMatchThreshold(Threshold):
    """One threshold for all classes (CorrMatch, CVPR 2024): the mean of the classes' largest confidences.

    Args:
        num_classes: K; the model gives it.
        start: The threshold of the start.
        cap: The highest threshold; published: none.
        kwargs: ``floor`` and ``momentum`` of :class:`Threshold`.
    """

    def __init__(self, num_classes: int, start: float = 0.85, cap: float = 1.0, **kwargs: float) -> None:
        super().__init__(num_classes, cap=cap, **kwargs)
        self.register_buffer('level', torch.tensor(float(start)))

    def update(self, scores: Tensor, target: PseudoLabel) -> None:
        """Average the largest confidences of the classes that are predicted, see :class:`Selection`."""
        confidence, label = target.confidence[target.valid], target.label[target.valid]
        largest = confidence.new_full((self.num_classes, ), -1).scatter_reduce(0, label, confidence, 'amax')
        all_reduce(largest, 'max')
        if (largest >= 0).any():
            self._average(self.level, largest[largest >= 0].mean())

    def levels(self) -> Tensor:
        """The level, for each class, (K, )."""
        return self.level.expand(self.num_classes)


@MODELS.register_module()
class DAWThreshold(Threshold):
    """One threshold for all classes (DAW, NeurIPS 2023): where right and wrong labels are equally likely.

    The confidences of right and of wrong predictions on *labeled* pixels are taken as two normal distributions, whose
    means and variances are moving averages from 1 / K and 1/2. The threshold is where their densities cross, at least
    1 / K. Without a crossing it stays.

    Predictions are those of the evaluated network; in the published code, of the student in training.

    Args:
        num_classes: K; the model gives it.
        start: The threshold of the start.
        momentum: As :class:`Selection` takes it.
        cap: The highest threshold; published: 1.
        floor: The lowest one; published: 1 / K.
    """

    needs_labeled_scores = True
    MIN_PIXELS = 10

    def __init__(self, num_classes: int, start: float = 0.95, momentum: float = 0.99, cap: float = 1.0,
                 floor: float = 0.5) -> None:
        super().__init__(num_classes, floor, cap, momentum)
        self.register_buffer('level', torch.tensor(float(start)))
        # Of wrong and right pixels.
        self.register_buffer('mean', torch.full((2, ), 1 / num_classes).double())
        self.register_buffer('variance', torch.full((2, ), 0.5).double())

    def update_labeled(self, truth: Tensor, scores: Tensor | None) -> None:
        """Average the confidences of wrong and right pixels, see :class:`Selection`."""
        valid = truth < self.num_classes
        confidence, label = scores.max(dim=1)
        found = moments(confidence[valid], (label == truth)[valid].long(), 2)
        enough = found.number >= self.MIN_PIXELS
        self._average(self.mean, found.mean, enough)
        self._average(self.variance, found.variance, enough)
        crossing = equal_density(self.mean.tolist(), self.variance.tolist())
        if crossing is not None:
            self.level.fill_(min(max(crossing, 1 / self.num_classes), 1.0))

    def levels(self) -> Tensor:
        """The level, for each class, (K, )."""
        return self.level.expand(self.num_classes)


@MODELS.register_module()
class FreeMatchThreshold(Threshold):
    """Self-adaptive thresholds (FreeMatch, arXiv 2205.07246), with a floor that must be given.

    The mean confidence is multiplied by the class's share over the largest share. On pixels, classes of a few percent
    would get thresholds of some hundredths, which is none at all: so a floor of 0.8 or more is part of the rule here.

    Args:
        num_classes: K; the model gives it.
        floor: The lowest threshold.
        cap: The highest one; published: 1.
        momentum: As :class:`Selection` takes it.
    """

    def __init__(self, num_classes: int, floor: float, cap: float = 1.0, momentum: float = 0.999) -> None:
        super().__init__(num_classes, floor, cap, momentum)
        self.register_buffer('confidence', torch.tensor(1 / num_classes))
        self.register_buffer('shares', torch.full((num_classes, ), 1 / num_classes))

    def update(self, scores: Tensor, target: PseudoLabel) -> None:
        """Average confidence and shares, see :class:`Selection`."""
        self._average(self.confidence, mean_scores(target.confidence[:, None], target.valid)[0])
        self._average(self.shares, mean_scores(scores, target.valid))

    def levels(self) -> Tensor:
        """Mean confidence times relative share, (K, )."""
        return self.confidence * self.shares / self.shares.max()


@MODELS.register_module()
class SoftMatch(Selection):
    """Every pixel counts, unsure ones less (SoftMatch, arXiv 2301.10921).

    The weight is 1 from the mean confidence on and falls below it like a normal distribution whose variance is a
    quarter of that of the confidences. Mean and variance are moving averages from 1 / K and 1.

    Args:
        num_classes: K; the model gives it.
        per_class: Whether mean and variance are those of the pixels predicted as the class.
        momentum: As :class:`Selection` takes it.
    """

    def __init__(self, num_classes: int, per_class: bool = False, momentum: float = 0.999) -> None:
        super().__init__(num_classes, momentum)
        self.per_class = per_class
        number = num_classes if per_class else 1
        self.register_buffer('mean', torch.full((number, ), 1 / num_classes))
        self.register_buffer('variance', torch.ones(number))

    def update(self, scores: Tensor, target: PseudoLabel) -> None:
        """Average mean and variance, see :class:`Selection`."""
        label = target.label if self.per_class else torch.zeros_like(target.label)
        found = moments(target.confidence[target.valid], label[target.valid], len(self.mean))
        # As published: a class of fewer than two pixels enters the averages with mean 0 and variance 1.
        defined = found.number >= 2
        self._average(self.mean, torch.where(defined, found.mean, 0))
        self._average(self.variance, torch.where(defined, found.variance, 1))

    def forward(self, target: PseudoLabel) -> Tensor:
        """The weights, (B, H, W)."""
        label = target.label if self.per_class else torch.zeros_like(target.label)
        below = (target.confidence - self.mean[label]).clamp(max=0)
        return (-2 * below**2 / self.variance[label]).exp()


@MODELS.register_module()
class RankWeight(Selection):
    """A pixel counts by its rank among confidences of its class on *labeled* pixels (DWL, ISPRS 2024).

    ``weight = 2 * sigmoid(k * u) - 1``, where u is the share of :data:`NUM_LEVELS` levels of equal rank that lie below
    the confidence, and k rises from 2 to 22. Levels are those of the probability of class c at pixels labeled c, in the
    last 50 batches. Each batch counts alike here, with at most :data:`NUM_KEPT` ranks; in the published code, with its
    pixels on a 64 x 64 grid.

    Args:
        num_classes: K; the model gives it.
        sharpening: Steps over which k rises, at least 1.
        warmup: Steps without any unlabeled loss.
        memory: Batches that are kept, at least 1.

    Raises:
        ValueError: A number is out of range.
    """

    needs_labeled_scores = True
    NUM_KEPT = 64
    NUM_LEVELS = 20

    def __init__(self, num_classes: int, sharpening: int = 10000, warmup: int = 50, memory: int = 50) -> None:
        super().__init__(num_classes)
        if min(sharpening, memory) < 1 or warmup < 0:
            raise ValueError(f'RankWeight: sharpening is {sharpening}, memory {memory} and warmup {warmup}; the first '
                             'two must be at least 1, the last at least 0.')
        self.sharpening = sharpening
        self.warmup = warmup
        self.register_buffer('memory', torch.full((memory, num_classes, self.NUM_KEPT), torch.nan))
        self.register_buffer('steps', torch.zeros((), dtype=torch.int64))
        self.register_buffer('levels', torch.full((num_classes, self.NUM_LEVELS), torch.inf))

    def update_labeled(self, truth: Tensor, scores: Tensor | None) -> None:
        """Keep the ranks of this batch, see :class:`Selection`."""
        valid = truth < self.num_classes
        label = truth[valid]
        own = scores.movedim(1, -1)[valid].gather(1, label[:, None])[:, 0]
        kept = class_quantiles(own, label, self.num_classes, torch.linspace(0, 1, self.NUM_KEPT))
        present = kept.isfinite()
        sums = torch.stack([kept.nan_to_num(0), present.to(kept)])
        all_reduce(sums)
        self.memory[self.steps % len(self.memory)] = torch.where(sums[1] > 0, sums[0] / sums[1], torch.nan)
        self.steps += 1
        ranks = (torch.arange(self.NUM_LEVELS, device=own.device) + 0.5) / self.NUM_LEVELS
        levels = self.memory.transpose(1, 2).flatten(0, 1).nanquantile(ranks.to(self.memory), dim=0).T
        self.levels.copy_(levels.nan_to_num(torch.inf))

    def forward(self, target: PseudoLabel) -> Tensor:
        """The weights, (B, H, W); 0 for a class that no label has shown."""
        if self.steps <= self.warmup:
            return torch.zeros_like(target.confidence)
        below = torch.zeros_like(target.confidence)
        for level in self.levels.T:
            below += target.confidence > level[target.label]
        sharpness = 2 + 20 * min(1.0, self.steps.item() / self.sharpening)
        return 2 * torch.sigmoid(sharpness * below / self.NUM_LEVELS) - 1


@MODELS.register_module()
class ConfidentShare(Selection):
    """Every pixel counts with the share of confident ones among the valid ones of the step (DACS, arXiv 2007.08702).

    Args:
        num_classes: K; the model gives it.
        tau: Confidence from which a pixel is confident, in [0, 1].

    Raises:
        ValueError: ``tau`` is out of range.
    """

    def __init__(self, num_classes: int, tau: float = 0.968) -> None:
        super().__init__(num_classes)
        if not 0 <= tau <= 1:
            raise ValueError(f'ConfidentShare: tau is {tau}, it must lie in [0, 1].')
        self.tau = tau

    def forward(self, target: PseudoLabel) -> Tensor:
        """The share, for each pixel, (B, H, W)."""
        confident = ((target.confidence >= self.tau) & target.valid).sum()
        share = confident / target.valid.sum().clamp(min=1)
        return share.to(target.confidence).expand_as(target.confidence)


MAX_PIXELS = 2**16


def class_quantiles(values: Tensor, labels: Tensor, num_classes: int, ranks: Tensor) -> Tensor:
    """Quantiles of the values of each class.

    Args:
        values: (n, ). At most :data:`MAX_PIXELS` of them, evenly spread, are looked at.
        labels: Their classes, (n, ).
        num_classes: K.
        ranks: R shares in [0, 1].

    Returns:
        (K, R), nan for a class without values.
    """
    every = max(1, -(-len(values) // MAX_PIXELS))
    values, labels = values[::every].float(), labels[::every]
    found = values.new_full((num_classes, len(ranks)), torch.nan)
    for label in labels.unique().tolist():
        found[label] = values[labels == label].quantile(ranks.to(values))
    return found


def equal_density(means: list[float], variances: list[float]) -> float | None:
    """The point between or next to two means at which two normal distributions are equally dense.

    Args:
        means: Of the two.
        variances: Of the two, above 0.

    Returns:
        Of two such points the one nearer to the means; ``None`` if there is none.
    """
    (m0, m1), (v0, v1) = means, variances
    # log density 0 - log density 1 = a x^2 + b x + c
    a = 1 / (2 * v1) - 1 / (2 * v0)
    b = m0 / v0 - m1 / v1
    c = m1**2 / (2 * v1) - m0**2 / (2 * v0) + math.log(v1 / v0) / 2
    if a == 0:
        return None if b == 0 else -c / b
    discriminant = b * b - 4 * a * c
    if discriminant < 0:
        return None
    # The textbook formula would subtract numbers of almost the same size.
    q = -(b + math.copysign(math.sqrt(discriminant), b)) / 2
    roots = [q / a, *([c / q] if q else [])]
    return min(roots, key=lambda root: abs(root - (m0 + m1) / 2))
