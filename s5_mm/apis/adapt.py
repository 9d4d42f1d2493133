"""Adapt a trained network to a pool of unlabeled images, without training."""
import copy
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import Tensor, nn

from s5_mm.checkpoints import load_weights
from s5_mm.checkpoints.writing import check_target, plain, write_weights
from s5_mm.models import ShareAlignment
from s5_mm.models.batch_norm import estimate_batch_norms
from s5_mm.models.networks import evaluated_network
from s5_mm.models.segmentors.image_metas import image_metas
from s5_mm.registry import MODELS
from s5_mm.version import __version__


def adapt_to_pool(cfg: Config,
                  checkpoint: str,
                  out: str,
                  batches: int = 40,
                  batch_norm: bool = True,
                  shares: Sequence[float] | None = None,
                  exponent: float = 1.0,
                  source: str = 'unlabeled',
                  force: bool = False) -> None:
    """Write a checkpoint whose evaluated network is adapted to the weak views of a pool.

    Args:
        cfg: Config of the model, with the pool among its sources.
        checkpoint: Its weights.
        out: Weights to write, ``.pth`` or ``.safetensors``, with the names of the checkpoint.
        batches: Batches of the training's size that are looked at, at least 1.
        batch_norm: Whether the statistics of batch norms become those of the pool.
        shares: Class shares to which predictions are aligned: the bias of the classifier changes by the logarithm of
            wanted over predicted share. ``None``: not.
        exponent: Of that ratio.
        source: Name of the pool among the sources.
        force: Whether to replace the file.

    Raises:
        FileExistsError: The file exists and ``force`` is not set.
        ValueError: There is nothing to do, the config has no such pool, the checkpoint is not the model's, the network
            has no batch norm, or its head no classifier with a bias.
    """
    check_target(out, force)
    if not batch_norm and shares is None:
        raise ValueError('Nothing to do: keep batch_norm, or give shares.')
    if batches < 1:
        raise ValueError(f'batches is {batches}; it must be at least 1.')
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    model = MODELS.build(copy.deepcopy(cfg.model)).to(get_device()).eval()
    load_weights(model, checkpoint)
    network = evaluated_network(model)
    logger = MMLogger.get_current_instance()
    if batch_norm:
        number = estimate_batch_norms(network, pool_images(cfg, model, source, batches))
        logger.info('%d batch norms have the statistics of %d batches of the pool', number, batches)
    if shares is not None:
        align(network, pool_images(cfg, model, source, batches), shares, exponent)
    weights = {name: plain(value) for name, value in model.state_dict().items()}
    write_weights(out, weights, dict(source=Path(checkpoint).name, s5_mm=__version__))


@torch.no_grad()
def align(network: nn.Module, batches: Iterator[Tensor], shares: Sequence[float], exponent: float = 1.0) -> None:
    """Change the bias of the classifier so that the mean prediction on images has the wanted class shares.

    Args:
        network: An ``EncoderDecoder`` in eval mode.
        batches: Normalized images, each (B, 3, H, W).
        shares: Wanted share of each class.
        exponent: Of wanted over predicted share.

    Raises:
        ValueError: The head has no classifier ``conv_seg`` with a bias, or the shares do not fit it.
    """
    bias = getattr(getattr(network.decode_head, 'conv_seg', None), 'bias', None)
    if bias is None:
        raise ValueError(f'{type(network.decode_head).__name__} has no classifier conv_seg with a bias; align '
                         'pseudo-labels with model.alignment instead.')
    alignment = ShareAlignment(len(bias), shares=list(shares), exponent=exponent).to(bias.device)
    predicted = []
    for images in batches:
        predicted.append(network.encode_decode(images, image_metas(images)).softmax(dim=1).mean(dim=(0, 2, 3)))
    alignment.predicted.copy_(torch.stack(predicted).mean(dim=0))
    bias += alignment.log_ratios().to(bias)
    found = ', '.join(f'{share:.4f}' for share in alignment.predicted.tolist())
    MMLogger.get_current_instance().info('the classifier is aligned; predicted shares were %s', found)


def pool_images(cfg: Config, model: nn.Module, source: str, batches: int) -> Iterator[Tensor]:
    """Normalized weak views of a pool, as training draws them with the seed 0, each (B, 3, H, W).

    Raises:
        ValueError: The config has no such source.
    """
    loader = copy.deepcopy(cfg.train_dataloader)
    sources = loader.dataset.get('sources', {})
    if source not in sources:
        raise ValueError(f'{cfg.filename} has no source {source!r}, only {sorted(sources) or "one dataset"}; give the '
                         'config of a semi-supervised training, or name the source.')
    number = loader.sampler.per_batch[source]
    loader.dataset.sources = {source: sources[source]}
    loader.sampler = dict(type='s5_mm.MultiSourceSampler', per_batch={source: number})
    loader.batch_size = number
    loader.persistent_workers = False
    data = iter(Runner.build_dataloader(loader, seed=0))
    for _ in range(batches):
        yield model.data_preprocessor(next(data), False)['inputs']
