"""Load encoder weights of any known naming style, and say what was loaded."""
import re

from mmengine.logging import MMLogger
from prettytable import PrettyTable
from torch import Tensor, nn

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
    own = dict(encoder.named_parameters())
    unfit = {name for name in own if name in weights and name != 'pos_embed' and weights[name].shape != own[name].shape}
    loaded = {name: value for name, value in weights.items() if name in own and name not in unfit}
    held = [name for name in own if name in weights or not (style.lacks and re.match(style.lacks, name))]
    share = _count(own, [name for name in held if name in loaded]) / _count(own, held)
    table = _report(own, loaded, weights, unfit)
    if share < min_share:
        raise ValueError(
            f'{filename} ({style.name} format) fits {share:.1%} of the encoder parameters that it should hold, at '
            f'least {min_share:.0%} must fit. {_mismatch(own, weights, unfit)}\n{table}')
    encoder.load_state_dict(loaded, strict=False)
    MMLogger.get_current_instance().info('Encoder weights from %s (%s format):\n%s', filename, style.name, table)


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


def _count(parameters: dict[str, Tensor], names: list[str]) -> int:
    return sum(parameters[name].numel() for name in names)


def _mismatch(own: dict[str, Tensor], weights: dict[str, Tensor], unfit: set[str]) -> str:
    """The likely reason in words."""
    patch = 'patch_embed.projection.weight'
    if patch in unfit:
        theirs, ours = weights[patch].shape, own[patch].shape
        return (f'The file has width {theirs[0]} and patch {theirs[-1]}, this encoder width {ours[0]} and patch '
                f'{ours[-1]}; choose the matching arch and patch_size.')
    return 'It belongs to another architecture; choose the matching arch.'


def _report(own: dict[str, Tensor], loaded: dict[str, Tensor], weights: dict[str, Tensor], unfit: set[str]) -> str:
    """Table of tensors and numbers: loaded, resized, left at initialisation, ignored."""
    resized = [name for name in loaded if loaded[name].shape != own[name].shape]
    missing = [name for name in own if name not in loaded]
    ignored = [name for name in weights if name not in own]
    table = PrettyTable(['what', 'tensors', 'parameters', 'for example'])
    for what, names, source in (('loaded', [name for name in loaded if name not in resized], own),
                                ('resized', resized, own), ('left at initialisation', missing, own),
                                ('of another shape', sorted(unfit), own), ('ignored', ignored, weights)):
        table.add_row([what, len(names), _count(source, names), ', '.join(names[:2])])
    return table.get_string()

