"""What was loaded into a model, and words on what does not fit."""
import dataclasses
import re

from prettytable import PrettyTable

from .adapters import too_many
from .experts import experts_in
from .formats import PATCH
from .parts import Weights


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What became of names; of each the number of values.

    Attributes:
        adapter: Name of the file's format.
        loaded: Names of the model that got the values of the file.
        resized: Of position tables that were resized.
        split: Of second linear layers of FFNs and experts that a dense layer was split into.
        initial: Of the model, which the file lacks; they are left at their initialization.
        unfit: Of the model, which have another shape in the file; they are left at their initialization.
        dropped: Names of the file that the model does not need.
    """

    adapter: str
    loaded: dict[str, int]
    resized: dict[str, int]
    split: dict[str, int]
    initial: dict[str, int]
    unfit: dict[str, int]
    dropped: dict[str, int]

    @property
    def table(self) -> str:
        """All of it, for the log."""
        table = PrettyTable(['what', 'tensors', 'parameters', 'for example'])
        for what, names in (('loaded', self.loaded), ('resized', self.resized), ('split into experts', self.split),
                            ('left at initialization', self.initial), ('of another shape', self.unfit),
                            ('dropped', self.dropped)):
            table.add_row([what, len(names), sum(names.values()), ', '.join([*names][:2])])
        return table.get_string()


def why_no_model(report: LoadReport, own: Weights, weights: Weights) -> str:
    """Words on a file that has not the whole model."""
    told = []
    if report.initial:
        told.append(f'It lacks {len(report.initial)} tensors of the model, e.g. {", ".join([*report.initial][:2])}; an '
                    'encoder alone is a start, not a model.')
    if report.unfit:
        told.append(_of_shapes([*report.unfit], own, weights))
    return f'{" ".join(told)} Give the config that the file was trained with, e.g. with as many classes.'


def _of_shapes(unfit: list[str], own: Weights, weights: Weights) -> str:
    first = unfit[0]
    return (f'{len(unfit)} tensors have another shape, e.g. {first}: {tuple(weights[first].shape)} in the file, '
            f'{tuple(own[first].shape)} here.')


# What it means that an encoder's parameters are not in a file.
ABSENCES = (
    (r'attn\.qkv\.bias$', 'the attention of the file has no bias (option qkv_bias=False)'),
    (r'patch_embed\.projection\.bias$', 'the patch embedding of the file has no bias, as in CLIP'),
    (r'(^|\.)pos_embed$', 'the file has no position table'),
    (r'\.ln[12]\.', 'the blocks of the file have no such norms'),
    (r'(^|\.)cls_token$', 'the file has no class token (option class_token=False)'),
    (r'(^|\.)pyramid\.', 'the pyramid of the file is incomplete or missing'),
)


def why_too_few(missing: list[str], own: Weights, weights: Weights) -> str:
    """Words on parameters of an encoder that a file lacks."""
    told = f'It lacks {len(missing)} parameters of the encoder, e.g. {missing[0]}'
    if depth(weights) < depth(own):
        return f'{told}: the file has {depth(weights)} blocks, this encoder {depth(own)} (option num_layers).'
    meaning = next((f': {words}' for pattern, words in ABSENCES if re.search(pattern, missing[0])), '')
    return f'{told}{meaning}.'


def why_too_many(unknown: list[str], own: Weights, weights: Weights) -> str:
    """Words on names in a file that an encoder does not have."""
    if 0 < depth(own) < depth(weights):
        return (f'The file has {depth(weights)} blocks, this encoder {depth(own)} (option num_layers): '
                f'{unknown[0]} and {len(unknown) - 1} others have no place.')
    return f'It has {too_many(unknown)}'


def why_unfit(unfit: list[str], own: Weights, weights: Weights) -> str:
    """The likely reason why weights have other shapes than those of an encoder."""
    told = _of_shapes(unfit, own, weights)
    if PATCH in unfit:
        return f'{told} {_of_patches(weights[PATCH].shape, own[PATCH].shape)}'
    if experts_in(weights) or experts_in(own):
        bias = next((name for name in unfit if own[name].ndim == 1), unfit[0])
        return (f'{told} Its FFNs share {len(weights[bias])} channels among datasets, those of this encoder '
                f'{len(own[bias])}; set part_features accordingly.')
    return f'{told} It belongs to another architecture; choose the matching one.'


def _of_patches(theirs: tuple[int, ...], ours: tuple[int, ...]) -> str:
    if theirs[0] != ours[0]:
        return f'The file is {theirs[0]} wide, this encoder {ours[0]}: choose the arch of that width.'
    if theirs[1] != ours[1]:
        return f'The file has {theirs[1]} bands, this encoder {ours[1]}.'
    if (theirs[0], theirs[-1]) == (1280, 14):
        return ('The file is a ViT-H of patch 14, as the public MAE ViT-H is; that of S5 has patch 16, and neither '
                'becomes the other. Take a ViT-H of patch 16, MAE\'s ViT-L, or set patch_size=14 and image sizes that '
                'are multiples of 14.')
    return (f'The file has patches of {theirs[-1]} px, this encoder of {ours[-1]}: set patch_size={theirs[-1]} and '
            'fitting image sizes, or take another file.')


def depth(weights: Weights) -> int:
    """Number of blocks of a ViT."""
    return len({match[1] for match in (re.match(r'layers\.(\d+)\.(?:attn|ffn)\.', name) for name in weights) if match})
