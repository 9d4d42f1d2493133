"""Load encoder weights of any known naming style, and say what was loaded."""
import re

from mmengine.logging import MMLogger
from torch import Tensor, nn

from .experts import experts_in, split_names
from .fit import Fit, compare
from .formats import FORMATS, PATCH, Format, recognize, rename, translate
from .reading import read_checkpoint

MIN_SHARE = 0.95
BLOCK = re.compile(r'^(layers|blocks)\.\d+\.')


def load_encoder(encoder: nn.Module, filename: str, prefix: str | None = None, min_share: float = MIN_SHARE) -> None:
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
    style, prefix = find_encoder(weights, filename, prefix)
    weights = {name.removeprefix(prefix): value for name, value in weights.items()
               if name.startswith(prefix) and isinstance(value, Tensor)}
    source = f'{filename} ({style.name} format)'
    check_blocks(weights, style, source)
    weights = {translate(name, style): value for name, value in weights.items()}
    adapted = encoder.adapt_weights(weights)
    own = dict(encoder.named_parameters())
    fit = compare(own, adapted, style.lacks, split_names(weights, adapted))
    check_encoder(fit, own, adapted, source, min_share)
    encoder.load_state_dict(fit.loaded, strict=False)
    MMLogger.get_current_instance().info('Encoder weights from %s (%s format):\n%s', filename, style.name, fit.table)


def check_blocks(weights: dict[str, Tensor], style: Format, source: str) -> None:
    """Refuse an encoder whose blocks do more than ours.

    Args:
        weights: The encoder's under the file's names, without prefix.
        style: Their format.
        source: What the message calls the file.

    Raises:
        ValueError: A block has parameters that ours has not, e.g. layer scale.
    """
    foreign = sorted(name for name in weights if BLOCK.match(name) and rename(name, style.rows) is None)
    if foreign:
        raise ValueError(f'{source} is of a ViT whose blocks have {len(foreign)} parameters that the plain ViT of S5 '
                         f'has not, e.g. {foreign[0]}: with them left out it would compute another function. Give '
                         'weights of a plain ViT (MAE, S5, timm or mmpretrain without layer scale and the like).')


def check_encoder(fit: Fit, own: dict[str, Tensor], weights: dict[str, Tensor], source: str,
                  min_share: float = MIN_SHARE) -> None:
    """Refuse weights that are not an encoder's.

    Args:
        fit: How they compare.
        own: The encoder's parameters.
        weights: The file's, under its names.
        source: What the message calls the file.
        min_share: As in :func:`load_encoder`.

    Raises:
        ValueError: Too little of them fits, or a tensor has another shape: that is another architecture, however
            small the tensor.
    """
    if fit.share < min_share or fit.unfit:
        raise ValueError(f'{source} fits {fit.share:.1%} of the encoder parameters that it should hold, at least '
                         f'{min_share:.0%} must fit, in each tensor\'s shape. {mismatch(own, weights, fit.unfit)}\n'
                         f'{fit.table}')


def find_encoder(weights: dict, filename: str, prefix: str | None = None) -> tuple[Format, str]:
    """Format and prefix of the one encoder in a file.

    Args:
        weights: The file's.
        filename: Its name, for messages.
        prefix: Where it must be; ``None``: anywhere.

    Raises:
        ValueError: There is none in a known format, or several.
    """
    found = [(style, start) for style, start in recognize(weights) if prefix is None or start == prefix]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f'{filename} holds {len(found)} encoders, at {sorted(start for _, start in found)}; choose '
                         "one with prefix='...', or extract it with tools/model_converters/publish_s4p.py.")
    known = ', '.join(style.name for style in FORMATS)
    raise ValueError(f'{filename} holds no plain ViT encoder in a known format ({known})'
                     f'{"" if prefix is None else f" at {prefix!r}"}; its names begin with {sorted(weights)[:3]}.')


def mismatch(own: dict[str, Tensor], weights: dict[str, Tensor], unfit: set[str]) -> str:
    """The likely reason why weights do not fit an encoder, in words.

    Args:
        own: The encoder's parameters.
        weights: The file's, under its names.
        unfit: Names of those that have another shape.
    """
    if PATCH in unfit:
        theirs, ours = weights[PATCH].shape, own[PATCH].shape
        if theirs[0] != ours[0]:
            return f'The file is {theirs[0]} wide, this encoder {ours[0]}: choose the arch of that width.'
        if (theirs[0], theirs[-1]) == (1280, 14):
            return ('The file is a ViT-H of patch 14, as the public MAE ViT-H is; that of S5 has patch 16, and neither '
                    'becomes the other. Take a ViT-H of patch 16, MAE\'s ViT-L, or set patch_size=14 and image sizes '
                    'that are multiples of 14.')
        return (f'The file has patches of {theirs[-1]} px, this encoder of {ours[-1]}: set patch_size={theirs[-1]} and '
                'fitting image sizes, or take another file.')
    second = 'layers.0.ffn.layers.1.bias'
    if second in unfit and (experts_in(weights) or experts_in(own)):
        return (f'Its FFNs share {len(weights[second])} channels among datasets, those of this encoder '
                f'{len(own[second])}; set part_features accordingly.')
    return 'It belongs to another architecture; choose the matching arch.'
