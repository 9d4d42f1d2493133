"""Losses of one training step. Shapes: N images of H x W pixels, K classes."""
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


@torch.no_grad()
def pseudo_label(network: nn.Module, weak: Tensor, partner: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Label weak views and their CutMix partners in eval mode and fp32, 2 x N images.

    Returns:
        Classes and confidences of both, each (N, H, W).
    """
    network.eval()
    with torch.autocast(weak.device.type, enabled=False):
        logits = network(torch.cat([weak, partner]))
    network.train()
    confidence, label = logits.softmax(dim=1).max(dim=1)
    return (*label.chunk(2), *confidence.chunk(2))


def unlabeled_loss(logits: Tensor, label: Tensor, confidence: Tensor, ignore: Tensor, tau: float) -> Tensor:
    """Cross entropy at confident pixels over the number of valid ones.

    Args:
        logits: Of the strong view, (N, K, H, W).
        label: Pseudo-labels, (N, H, W).
        confidence: Theirs, (N, H, W).
        ignore: 255 where the image is padded, (N, H, W).
        tau: Confidence from which a pixel counts.
    """
    valid = ignore != 255
    losses = cross_entropy(logits.float(), label, reduction='none')
    return (losses * ((confidence >= tau) & valid)).sum() / valid.sum().clamp(min=1)


def fixmatch_loss(network: nn.Module, batch: dict[str, Tensor], tau: float = 0.95) -> Tensor:
    """S4P: half the sum of the supervised and the unlabeled loss.

    Args:
        network: Images (N, 3, H, W) -> logits (N, K, H, W).
        batch: ``labeled``, ``label``; ``weak``, ``strong``, ``ignore`` and the same of the CutMix partner with ``_mix``
            behind the name; ``box``, (N, H, W), True where the partner is taken.
        tau: As :func:`unlabeled_loss` has it.
    """
    label, label_mix, confidence, confidence_mix = pseudo_label(network, batch['weak'], batch['weak_mix'])
    box = batch['box']
    strong = torch.where(box[:, None], batch['strong_mix'], batch['strong'])
    logits, logits_strong = network(torch.cat([batch['labeled'], strong])).chunk(2)
    supervised = cross_entropy(logits.float(), batch['label'], ignore_index=255)
    unlabeled = unlabeled_loss(
        logits_strong, torch.where(box, label_mix, label), torch.where(box, confidence_mix, confidence),
        torch.where(box, batch['ignore_mix'], batch['ignore']), tau)
    return (supervised + unlabeled) / 2


def multi_dataset_loss(network: nn.Module, batches: dict[str, tuple[Tensor, Tensor]]) -> Tensor:
    """MoE-MDF: the sum of the datasets' losses, each from a forward pass of its own.

    Args:
        network: Images and the dataset's name -> logits.
        batches: Dataset -> images (N, 3, H, W) and labels (N, H, W).
    """
    return sum(cross_entropy(network(images, name).float(), labels, ignore_index=255)
               for name, (images, labels) in batches.items())
