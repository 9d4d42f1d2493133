"""Inference: a dataset's part of a model of several, and scoring for curation."""
from collections.abc import Callable

import published_style
import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from s5_mm.checkpoints.segmentor import merge_segmentor
from s5_mm.curation.scoring import score_images
from s5_mm.models.segmentors.image_metas import image_metas
from s5_mm.models.segmentors.merging import merged_config
from s5_mm.registry import MODELS

from .measuring import Case, Settings
from .training import MDF, prepare, published_arch

SUPERVISED = 'configs/s4p/supervised_vit-b-mae_upernet_8xb12-120k_isaid-512x512.py'
DATASET = 'potsdam'


class Operators(TorchDispatchMode):
    """Names of the operators that run while it is entered, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        """Note an operator and run it."""
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def inference_merged(settings: Settings, case: str = 'inference_merged') -> Case:
    """One dataset's logits: experts merged (ours), the dense ViT (baseline), experts not merged (experts)."""
    side, batch = settings.sides[case], settings.batches[case]
    cfg, dense = Config.fromfile(MDF).model, Config.fromfile(SUPERVISED).model
    for model in (cfg, dense):
        prepare(model, settings, side)
    dense.decode_head.num_classes = cfg.datasets[DATASET].num_classes
    experts = MODELS.build(cfg)
    merged = MODELS.build(merged_config(cfg, DATASET))
    merged.load_state_dict(merge_segmentor(experts.state_dict(), DATASET))
    models = dict(ours=merged, baseline=MODELS.build(dense), experts=experts)
    images = torch.randn(batch, 3, side, side, device=settings.device)
    metas = [dict(meta, dataset_name=DATASET) for meta in image_metas(images)]

    def run(model: nn.Module) -> Callable[[], Tensor]:
        model.to(settings.device).eval()
        return inference(lambda: model.encode_decode(images, metas), settings)
    ways = {way: run(model) for way, model in models.items()}
    difference = (ways['ours']() - ways['experts']()).abs().max().item()
    operators = [operators_of(ways[way]) for way in ('ours', 'baseline')]
    return Case(ways=ways, holds={way: (model, ) for way, model in models.items()}, setting=settings.told(case),
                images=batch, facts=dict(same_operators=operators[0] == operators[1], largest_difference=difference))


def scoring(settings: Settings, case: str = 'scoring') -> Case:
    """Entropy and feature of an image, from bytes; the baseline is its encoder and decoder with a plain softmax."""
    side, batch = settings.sides[case], settings.batches[case]
    cfg = Config.fromfile(SUPERVISED).model
    prepare(cfg, settings, side)
    ours = MODELS.build(cfg).to(settings.device).eval()
    baseline = published_style.FixMatchNetwork(**published_arch(settings.arch, side)).to(settings.device).eval()
    pixels = torch.randint(256, (batch, 3, side, side), dtype=torch.uint8, device=settings.device)
    mean, std = ours.data_preprocessor.mean, ours.data_preprocessor.std

    def plain_entropy() -> Tensor:
        probabilities = baseline((pixels.float() - mean) / std).softmax(dim=1)[:, 1:]
        return -(probabilities * probabilities.clamp(min=1e-12).log()).sum(dim=1).mean(dim=(1, 2))
    amp = settings.precision == 'bf16'
    return Case(
        ways=dict(ours=lambda: score_images(ours, ours, pixels, background=0, amp=amp),
                  baseline=inference(plain_entropy, settings)),
        holds=dict(ours=(ours, ), baseline=(baseline, )), setting=settings.told(case), images=batch)


def inference(run: Callable[[], Tensor], settings: Settings) -> Callable[[], Tensor]:
    """The function without gradients, in the precision of the settings."""
    def wrapped() -> Tensor:
        with torch.no_grad(), settings.autocast():
            return run()
    return wrapped


def operators_of(run: Callable[[], object]) -> list[str]:
    """Names of torch's operators that a function runs."""
    with Operators() as operators:
        run()
    return operators.names
