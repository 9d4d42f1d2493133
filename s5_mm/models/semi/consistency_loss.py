"""FixMatch's loss between the strong view and the pseudo-label."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s5_mm.registry import MODELS

from .pseudo_label import PseudoLabel


@MODELS.register_module()
class ConsistencyLoss(nn.Module):
    """Cross entropy at confident pixels, divided by the number of *valid* ones (FixMatch as S5 uses it).

    Args:
        tau: Confidence from which a pixel counts, in [0, 1].
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

    def confident(self, target: PseudoLabel) -> Tensor:
        """Pixels that count, (N, H, W), bool."""
        return (target.confidence >= self.tau) & target.valid

    def forward(self, logits: Tensor, target: PseudoLabel) -> tuple[Tensor, Tensor]:
        """Compare the strong view with its pseudo-label.

        Args:
            logits: Of the strong view, (N, K, H, W).
            target: Of the weak view, mixed like the strong one.

        Returns:
            The loss and the share of valid pixels that are confident, both scalars; 0 if no pixel is valid.
        """
        confident = self.confident(target)
        num_valid = target.valid.sum().clamp(min=1)
        losses = F.cross_entropy(logits.float(), target.label, weight=self.class_weight, reduction='none')
        return (losses * confident).sum() / num_valid, confident.sum() / num_valid
