"""FixMatch's loss between the strong view and the pseudo-label."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s5_mm.registry import MODELS

from .pseudo_label import PseudoLabel


@MODELS.register_module()
class ConsistencyLoss(nn.Module):
    """Cross entropy of the pixels that count, over the number of *valid* ones (FixMatch as S5 uses it).

    Args:
        tau: Confidence from which a pixel counts, in [0, 1], where the pseudo-label has no weights of its own.
        class_weight: Weight of each class's pixels; ``None``: all 1. The divisor does not change with it.

    Raises:
        ValueError: ``tau`` is out of range.
    """

    def __init__(self, tau: float = 0.95, class_weight: list[float] | None = None) -> None:
        super().__init__()
        if not 0 <= tau <= 1:
            raise ValueError(f'ConsistencyLoss: tau is {tau}, it must lie in [0, 1].')
        self.tau = tau
        weight = None if class_weight is None else torch.tensor(class_weight, dtype=torch.float32)
        self.register_buffer('class_weight', weight, persistent=False)

    def counted(self, target: PseudoLabel) -> Tensor:
        """How much each pixel counts, (N, H, W), bool or in [0, 1]; nothing where there is padding."""
        weight = target.confidence >= self.tau if target.weight is None else target.weight
        return weight * target.valid

    def forward(self, logits: Tensor, target: PseudoLabel) -> tuple[Tensor, Tensor]:
        """Compare the strong view with its pseudo-label.

        Args:
            logits: Of the strong view, (N, K, H, W).
            target: Of the weak view, mixed like the strong one.

        Returns:
            The loss and the mean weight of valid pixels (with a threshold: the share of confident ones), both scalars;
            0 if no pixel is valid.
        """
        counted = self.counted(target)
        num_valid = target.valid.sum().clamp(min=1)
        losses = F.cross_entropy(logits.float(), target.label, weight=self.class_weight, reduction='none')
        return (losses * counted).sum() / num_valid, counted.sum() / num_valid
