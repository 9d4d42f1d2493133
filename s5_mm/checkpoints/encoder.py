"""Load encoder weights of any known naming style, and say what was loaded."""
from mmengine.logging import MMLogger
from torch import Tensor, nn

from .experts import experts_in
from .fit import Fit, compare
from .formats import FORMATS, Format, recognise, translate
from .reading import read_checkpoint


def load_encoder(encoder: nn.Module, filename: str, prefix: str | None = None, min_share: float = 0.95) -> None:
    """Fill an encoder from a file and log a table of what happened to its parameters.

    A position table of another size is resized by the encoder's own load hook.

    Args:
        encoder: A :class:`s5_mm.models.ViT`.
        filename: Path to a ``.pth``, ``.pt`` or ``.safetensors`` file in one of the known formats.
        prefix: What stands before the encoder's names in the file, e.g. ``'segmentor.backbone.'``; found by itself
            when the file holds one encoder.
        min_share: Share of the parameters (in numbers) which this format should hold that must match, in [0, 1].

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is refused or damaged, holds no or several encoders, or too little of it fits.
    """
    weights = read_checkpoint(filename)
    weights = weights.get('state_dict', weights)
    style, prefix = _find_encoder(weights, filename, prefix)
    weights = {
        translate(name.removeprefix(prefix), style): value
        for name, value in weights.items() if name.startswith(prefix) and isinstance(value, Tensor)
    }
    weights = encoder.adapt_weights(weights)
    own = dict(encoder.named_parameters())
    fit = compare(own, weights, style.lacks)
    check_encoder(fit, own, weights, f'{filename} ({style.name} format)', min_share)
    encoder.load_state_dict(fit.loaded, strict=False)
    MMLogger.get_current_instance().info('Encoder weights from %s (%s format):\n%s', filename, style.name, fit.table)


def check_encoder(fit: Fit, own: dict[str, Tensor], weights: dict[str, Tensor], source: str,
                  min_share: float = 0.95) -> None:
    """Refuse weights that are not an encoder's.

    Args:
        fit: How they compare.
        own: The encoder's parameters.
        weights: The file's, under its names.
        source: What the message calls the file.
        min_share: As in :func:`load_encoder`.

    Raises:
        ValueError: Too little of them fits.
    """
    if fit.share < min_share:
        raise ValueError(f'{source} fits {fit.share:.1%} of the encoder parameters that it should hold, at least '
                         f'{min_share:.0%} must fit. {_mismatch(own, weights, fit.unfit)}\n{fit.table}')


def _find_encoder(weights: dict, filename: str, prefix: str | None) -> tuple[Format, str]:
    found = [(style, start) for style, start in recognise(weights) if prefix is None or start == prefix]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f'{filename} holds {len(found)} encoders, at {sorted(start for _, start in found)}; choose '
                         "one with prefix='...', or extract it with tools/model_converters/publish_s4p.py.")
    known = ', '.join(style.name for style in FORMATS)
    raise ValueError(f'{filename} holds no ViT encoder in a known format ({known})'
                     f'{"" if prefix is None else f" at {prefix!r}"}; its names begin with {sorted(weights)[:3]}.')


def _mismatch(own: dict[str, Tensor], weights: dict[str, Tensor], unfit: set[str]) -> str:
    """The likely reason in words."""
    patch = 'patch_embed.projection.weight'
    if patch in unfit:
        theirs, ours = weights[patch].shape, own[patch].shape
        return (f'The file has width {theirs[0]} and patch {theirs[-1]}, this encoder width {ours[0]} and patch '
                f'{ours[-1]}; choose the matching arch and patch_size.')
    second = 'layers.0.ffn.layers.1.bias'
    if second in unfit and (experts_in(weights) or experts_in(own)):
        return (f'Its FFNs share {len(weights[second])} channels among data sets, those of this encoder '
                f'{len(own[second])}; set part_features accordingly.')
    return 'It belongs to another architecture; choose the matching arch.'
