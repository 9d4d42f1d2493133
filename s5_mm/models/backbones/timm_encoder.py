"""Any encoder of timm that gives intermediate maps."""
import math
from collections.abc import Mapping
from difflib import get_close_matches

import torch
from mmengine.logging import print_log
from mmseg.models.necks import Feature2Pyramid
from torch import Tensor, nn

from s5_mm.registry import MODELS

from .encoder import Encoder, contiguous

# Settings by which models take images of any size, with the windows of their files; the first ones that a model knows.
SIZES = (lambda _: dict(strict_img_size=False, always_partition=True, dynamic_mask=True),
         lambda _: dict(strict_img_size=False),
         lambda img_size: dict(img_size=img_size, dynamic_img_size=True), lambda _: {})
# Of a classifier and what stands before it.
BEHIND = ('norm.', 'fc_norm.', 'head.', 'head_drop.', 'fc.', 'classifier.', 'conv_head.', 'bn2.', 'final_conv.')


@MODELS.register_module()
class TimmEncoder(Encoder):
    """An encoder of timm, which states channels, strides, depths and normalization.

    Of models with maps of several strides the last four maps are taken. Those of one stride (ViTs) give four blocks,
    a quarter of the depth apart, for a pyramid as :class:`s5_mm.models.backbones.ViT` has it. timm's own settings hold
    otherwise: norms, drop path, layer scale.

    Args:
        model: Name in timm, e.g. ``'convnext_small.in12k'``.
        img_size: Side of the training images in pixels, for models with a position table.
        drop_path_rate: Of timm's option of that name, where a model has it.
        with_cp: Whether to recompute blocks in the backward pass to save memory. Not together with experts.
        options: Further options of the model.
        second_linear: End of the names of the FFNs' second linear layers, which may have experts.
        experts: See :class:`Encoder`.
        init_cfg: MMEngine's initialization.

    Raises:
        ImportError: timm is not installed.
        ValueError: timm has no such model, it gives no four maps, or experts find no linear layer.
    """

    inner_prefix = 'model.'
    may_drop = tuple(f'model.{name}' for name in BEHIND)

    def __init__(self, model: str, img_size: int = 512, drop_path_rate: float = 0.0, with_cp: bool | str = False,
                 options: dict | None = None, second_linear: str = 'mlp.fc2', experts: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(experts, init_cfg)
        with torch.device('cpu'):  # timm reads values while it builds
            self.model = _created(model, img_size, dict(options or {}, drop_path_rate=drop_path_rate))
        strides = [info['reduction'] for info in self.model.feature_info]
        uniform = len(set(strides)) == 1
        if len(strides) < 4:
            raise ValueError(f'TimmEncoder: {model} gives {len(strides)} maps, of strides {strides}; four are needed.')
        number = len(strides)
        self.indices = [number * (i + 1) // 4 - 1 for i in range(4)] if uniform else list(range(number - 4, number))
        channels = [self.model.feature_info[i]['num_chs'] for i in self.indices]
        self.model.prune_intermediate_layers(self.indices, prune_norm=True, prune_head=True)
        self._add_experts(model, second_linear)
        self.pyramid = Feature2Pyramid(
            channels[0], norm_cfg=dict(type='mmpretrain.LN2d', eps=1e-6)) if uniform else None
        self.out_channels = tuple(channels)
        self.divisor = strides[-1]
        pretrained = self.model.pretrained_cfg
        self.mean, self.std = (tuple(255 * value for value in pretrained[key]) for key in ('mean', 'std'))
        self._depths = _depths(self.model)
        if with_cp and self.experts is not None:
            print_log('TimmEncoder: with_cp is without effect, since there are experts.', 'current')
        elif with_cp:
            self.model.set_grad_checkpointing()
        self.to(torch.get_default_device())

    @property
    def map_strides(self) -> tuple[float, ...]:
        """Of the pyramid, or of the model's own maps."""
        if self.pyramid is None:
            return super().map_strides
        return tuple(self.divisor * factor for factor in (0.25, 0.5, 1.0, 2.0))

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """See :class:`Encoder`."""
        if x.shape[-2] % self.divisor or x.shape[-1] % self.divisor:
            raise ValueError(f'TimmEncoder: images of {x.shape[-1]}x{x.shape[-2]} px do not fit, both sides must be '
                             f'multiples of {self.divisor}; set the crop size or the data preprocessor\'s '
                             'size_divisor.')
        maps = self.model.forward_intermediates(x, indices=self.indices, intermediates_only=True)
        return contiguous(tuple(maps if self.pyramid is None else self.pyramid(maps)))

    def second_linears(self) -> dict[str, nn.Linear]:
        """Linear layers whose names end so."""
        return {name: module for name, module in self.named_modules()
                if isinstance(module, nn.Linear) and name.endswith(f'.{self._second_linear}')}

    def _add_experts(self, model: str, second_linear: str) -> None:
        self._second_linear = second_linear
        found = self.second_linears()
        if self.experts is not None and not found:
            raise ValueError(f'TimmEncoder: experts are wanted, but no linear layer of {model} has a name that ends in '
                             f'{second_linear!r}; set second_linear.')
        for name, layer in found.items() if self.experts is not None else ():
            self.set_submodule(name, self.experts.second_linear(layer.in_features, layer.out_features))

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """timm's groups of parameters; an expert is as deep as its layer."""
        number = max(self._depths.values()) + 2
        name = param_name.removeprefix(prefix)
        if not (param_name.startswith(prefix) and name.startswith(self.inner_prefix)):
            return number - 1, number
        return self._depths[name.removeprefix(self.inner_prefix)], number

    def adapt_weights(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Resize a position table as timm does; see :class:`Encoder`."""
        weights = super().adapt_weights(weights)
        name, own = 'model.pos_embed', getattr(self.model, 'pos_embed', None)
        grid = getattr(getattr(self.model, 'patch_embed', None), 'grid_size', None)
        if own is not None and grid and name in weights and weights[name].shape != own.shape and own.ndim == 3:
            from timm.layers import resample_abs_pos_embed
            entries = own.shape[1] - math.prod(grid)
            side = math.isqrt(weights[name].shape[1] - entries)
            if side**2 + entries == weights[name].shape[1]:
                weights[name] = resample_abs_pos_embed(weights[name], list(grid), num_prefix_tokens=entries)
        return weights


def _created(model: str, img_size: int, options: Mapping[str, object]) -> nn.Module:
    """A model of timm without classifier and weights."""
    try:
        import timm
    except ImportError as error:
        raise ImportError(f'Encoder timm:{model} needs timm; `pip install --no-deps timm` keeps the installed torch.'
                          ) from error
    if not timm.is_model(model):
        known = get_close_matches(model.split('.')[0], timm.list_models(), n=5)
        raise ValueError(f'TimmEncoder: timm {timm.__version__} has no model {model!r}'
                         f'{", but e.g. " + ", ".join(known) if known else ""}.')
    errors: list[TypeError] = []
    for settings in SIZES:
        try:
            built = timm.create_model(model, pretrained=False, num_classes=0, **settings(img_size), **options)
        except TypeError as error:  # an option that the model has not
            errors.append(error)
            continue
        if not hasattr(built, 'forward_intermediates') or not hasattr(built, 'group_matcher'):
            raise ValueError(f'TimmEncoder: {model} gives no intermediate maps (forward_intermediates).')
        return built
    raise ValueError(f'TimmEncoder: {model} does not take {dict(options)}: {errors[-1]}.')


def _depths(model: nn.Module) -> dict[str, int]:
    """Name of a parameter -> depth from 0, without gaps. Experts have names that timm's patterns know."""
    from timm.models import group_parameters
    found = group_parameters(model, model.group_matcher(), reverse=True)
    places = {group: i for i, group in enumerate(sorted(set(found.values())))}
    return {name: places[group] for name, group in found.items()}
