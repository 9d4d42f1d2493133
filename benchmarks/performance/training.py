"""Training steps of S4P and MoE-MDF, ours and in the published style, on the same random images."""
from collections.abc import Callable

import published_style
import torch
from mixed_step import make_sample
from mmengine.config import Config
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from s5_mm.models.backbones.vit import ARCHS
from s5_mm.registry import MODELS

from .measuring import Case, Settings

S4P = 'configs/s4p/fixmatch_vit-b-mae_upernet_8xb12-120k_isaid-rs4p1m-512x512.py'
MDF = 'configs/mdf_seg/moe-mdf_vit-b-s4p_upernet_1xb48-100e_landcover4-512x512.py'
LEARNING = dict(lr=5e-5, betas=(0.9, 0.999), weight_decay=0.01)


def s4p_step(settings: Settings, case: str = 's4p_step') -> Case:
    """A whole step of S4P: weak pass, strong view, CutMix, forward, backward, optimizer.

    Strong views of the baseline are made beforehand, since its loader makes them; ours are made in the step.
    """
    side, batch = settings.sides[case], settings.batches[case]
    cfg = Config.fromfile(S4P).model
    prepare(cfg.segmentor, settings, side)
    ours = MODELS.build(cfg).to(settings.device).train()
    if batch == 1:
        # The partner in CutMix is the image itself: the same work.
        ours.partner = lambda view: view
    baseline = published_style.FixMatchNetwork(**published_arch(settings.arch, side)).to(settings.device).train()

    labeled, weak, weak_mix = (torch.randn(batch, 3, side, side, device=settings.device) for _ in range(3))
    label = torch.randint(16, (batch, side, side), device=settings.device)
    shown = torch.zeros(batch, side, side, dtype=torch.int64, device=settings.device)
    inputs = torch.cat([labeled, weak])
    samples = [*map(sample_of, ['labeled'] * batch, label), *map(sample_of, ['unlabeled'] * batch, shown)]
    views = dict(
        labeled=labeled, label=label, weak=weak, weak_mix=weak_mix, strong=ours.distort(weak),
        strong_mix=ours.distort(weak_mix), ignore=shown, ignore_mix=shown,
        box=ours.cutmix.boxes(batch, side, side, settings.device))
    return training_case(
        settings, case, ours, lambda: ours.parse_losses(ours.loss(inputs, samples))[0],
        baseline, lambda: published_style.fixmatch_loss(baseline, views), images=2 * batch)


def mdf_step(settings: Settings, case: str = 'mdf_step', datasets: int = 4) -> Case:
    """A whole step of MoE-MDF: forward, backward, optimizer; one mixed forward against one for each dataset."""
    side, batch = settings.sides[case], settings.batches[case]
    cfg = Config.fromfile(MDF).model
    prepare(cfg, settings, side)
    known = list(cfg.datasets.values())
    cfg.datasets = {f'set{i}': dict(known[i % len(known)], start=0.0) for i in range(datasets)}
    ours = MODELS.build(cfg).to(settings.device).train()
    classes = {name: told.num_classes for name, told in cfg.datasets.items()}
    baseline = published_style.MultiDatasetNetwork(
        classes, cfg.experts.part_features, **published_arch(settings.arch, side)).to(settings.device).train()

    batches = {name: (torch.randn(batch, 3, side, side, device=settings.device),
                      torch.randint(number, (batch, side, side), device=settings.device))
               for name, number in classes.items()}
    inputs = torch.cat([images for images, _ in batches.values()])
    samples = [sample_of(name, label) for name, (_, labels) in batches.items() for label in labels]
    found = training_case(
        settings, case, ours, lambda: ours.parse_losses(ours.loss(inputs, samples))[0],
        baseline, lambda: published_style.multi_dataset_loss(baseline, batches), images=len(inputs))
    found.setting['datasets'] = datasets
    return found


def training_case(settings: Settings, case: str, ours: nn.Module, our_loss: Callable[[], Tensor], baseline: nn.Module,
                  baseline_loss: Callable[[], Tensor], images: int) -> Case:
    """Steps of both, each with the optimizer that its code has."""
    # Ours as the schedules of our configs set it; the published code leaves torch's default.
    ours_adamw = torch.optim.AdamW(ours.parameters(), fused=True, **LEARNING)
    baseline_adamw = torch.optim.AdamW(baseline.parameters(), **LEARNING)
    for optimizer in (ours_adamw, baseline_adamw):
        fill_state(optimizer)
    return Case(
        ways=dict(ours=lambda: step(our_loss, ours_adamw, settings),
                  baseline=lambda: step(baseline_loss, baseline_adamw, settings)),
        holds=dict(ours=(ours, ours_adamw), baseline=(baseline, baseline_adamw)),
        setting=settings.told(case),
        images=images)


def step(loss_of: Callable[[], Tensor], optimizer: torch.optim.Optimizer, settings: Settings) -> None:
    """Forward, backward and update; gradients are freed, so that none is held between steps."""
    with settings.autocast():
        loss = loss_of()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def fill_state(optimizer: torch.optim.Optimizer) -> None:
    """Make what an optimizer keeps, as the first step of training does."""
    for group in optimizer.param_groups:
        for parameter in group['params']:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def prepare(network: dict, settings: Settings, side: int) -> None:
    """Set a network's config for one process without checkpoint files."""
    network.init_cfg = None
    network.backbone.update(arch=settings.arch, patch_size=16, img_size=side, init_cfg=None)
    if settings.device == 'cpu':
        # A CPU has the memory for what a step keeps; on a GPU the config decides.
        network.backbone.with_cp = False
    if 'experts' in network:
        network.experts.part_features = min(256, ARCHS[settings.arch]['embed_dims'] // 3)
    if 'neck' in network:
        network.neck.in_channels = [ARCHS[settings.arch]['embed_dims']] * 4
    if 'decode_head' in network:
        network.decode_head.norm_cfg = dict(type='BN')


def published_arch(arch: str, side: int) -> dict[str, object]:
    """Arguments of the baseline's encoder."""
    told = ARCHS[arch]
    return dict({key: told[key] for key in ('embed_dims', 'num_layers', 'num_heads', 'out_indices')}, img_size=side)


def sample_of(source: str, label: Tensor) -> SegDataSample:
    """A sample with labels (H, W)."""
    sample = make_sample(source, 1, label.shape[-1])
    sample.gt_sem_seg.data = label[None]
    return sample
