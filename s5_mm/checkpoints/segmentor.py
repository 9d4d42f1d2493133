"""Weights of any known segmentor as those of a :class:`s5_mm.MultiDatasetSegmentor`, which names them
``backbone.*`` and ``decode_heads.DATASET.*``.
"""
import re
from collections.abc import Callable, Iterable, Sequence

from mmengine.logging import MMLogger
from torch import Tensor, nn

from .encoder import MIN_SHARE, check_blocks, check_encoder
from .experts import experts_in, merge_experts, rename_experts, split_names
from .fit import compare
from .formats import FORMATS, PUBLISHED, Format, recognize, rename, translate
from .layouts import UNUSED, change_values, layout_of
from .publish import PREFIXES

ENCODER, HEADS, HEAD, CLASSIFIER = 'backbone.', 'decode_heads.', 'decode_head.', 'conv_seg.'
Weights = dict[str, Tensor]


def translate_segmentor(weights: Weights, datasets: Sequence[str]) -> tuple[Weights, Format | None]:
    """Give a segmentor's or detector's weights our names.

    Taken are :class:`s5_mm.MultiDatasetSegmentor`, mmseg's ``EncoderDecoder``, :class:`s5_mm.FixMatchSegmentor` (the
    network that it evaluates), the published S4P and MoE-MDF segmentors, and encoders alone. A decoder that belongs to
    no dataset is copied to all, without its classifier, whose classes are others. Datasets of published files are
    matched without regard to case. Published MoE-MDF detectors become those of :class:`s5_mm.MultiDatasetDetector`,
    with angles and classes in its order.

    Args:
        weights: The file's.
        datasets: Datasets of the model.

    Returns:
        The weights and the encoder's format; if there is no known encoder, the weights as they are and ``None``.

    Raises:
        ValueError: There are several encoders, or one that is no plain ViT.
    """
    parts = _parts_of(weights)
    if parts is None:
        return weights, None
    encoder, decoders, others, style = parts
    return encoder | others | _distribute(decoders, datasets), style


def translate_single(weights: Weights) -> tuple[Weights, Format | None]:
    """As :func:`translate_segmentor`, for a segmentor of one dataset: ``backbone.*`` and ``decode_head.*``.

    Raises:
        ValueError: As there, or the file is of several datasets.
    """
    parts = _parts_of(weights)
    if parts is None:
        return weights, None
    encoder, decoders, others, style = parts
    named = [name for name in decoders if name is not None]
    if named:
        raise ValueError(f'The file is a segmentor of the datasets {named}, the model has one decoder; load it into a '
                         'MultiDatasetSegmentor, or take one dataset out of it with '
                         'tools/model_converters/merge_experts.py.')
    decoder = {f'{HEAD}{name}': value for name, value in decoders.get(None, {}).items()}
    return encoder | others | decoder, style


def _parts_of(weights: Weights) -> tuple[Weights, dict[str | None, Weights], Weights, Format] | None:
    """Encoder, decoders by dataset (``None``: not told), other weights and the encoder's format, under our names."""
    found = evaluated_encoder(weights)
    if found is None:
        return None
    style, prefix = found
    inside = part_of(weights, prefix)
    check_blocks(inside, style, f'The loaded file ({style.name} format)')
    encoder = {ENCODER + translate(name, style): value for name, value in inside.items()}
    root = next((prefix.removesuffix(end) for end in (ENCODER, 'encoder.') if prefix.endswith(end)), prefix)
    if root == prefix:
        return encoder, {}, {}, style
    rest = {name: value for name, value in part_of(weights, root).items() if not (root + name).startswith(prefix)}
    layout = layout_of(rest) if style is PUBLISHED else None
    others, decoders = {}, {}
    for theirs, value in rest.items():
        ours = rename(theirs, layout[0].rows) if layout else theirs
        name = theirs if ours is None or ours.startswith(UNUSED) else ours
        value = change_values(name, value, layout[0]) if layout else value
        match = re.match(r'decode_heads\.([^.]+)\.|decode_head\.', name)
        if match:
            decoders.setdefault(match[1], {})[name[match.end():]] = value
        else:
            others[name] = value
    return encoder, decoders, others, style


def evaluated_encoder(weights: Weights) -> tuple[Format, str] | None:
    """Format and prefix of the encoder that a segmentor evaluates, e.g. FixMatch's teacher; ``None`` if there is none.

    Raises:
        ValueError: There are several and no telling which.
    """
    found = recognize(weights)
    if len(found) > 1:
        trained = int(weights.get('teacher.steps', 0)) > 0
        found = [(style, prefix) for style, prefix in found if prefix in PREFIXES['teacher' if trained else 'student']]
        if len(found) != 1:
            raise ValueError('The file holds several encoders, at '
                             f'{sorted(prefix for _, prefix in recognize(weights))}; choose one segmentor with '
                             "init_cfg=dict(type='Pretrained', checkpoint=..., prefix=...).")
    return found[0] if found else None


def _distribute(decoders: dict[str | None, Weights], datasets: Sequence[str]) -> Weights:
    """Weights of decode heads from those of decoders, of which one (``None``) may have no dataset."""
    nameless = {name: value for name, value in decoders.pop(None, {}).items() if not name.startswith(CLASSIFIER)}
    spelt = {name.lower(): name for name in datasets}
    named = {spelt.get(name.lower(), name): head for name, head in decoders.items()}
    named |= {name: nameless for name in datasets if nameless and name not in named}
    return {f'{HEADS}{name}.{part}': value for name, head in named.items() for part, value in head.items()}


def fit_segmentor(own: Weights,
                  weights: Weights,
                  style: Format,
                  given: Iterable[str] | None = None,
                  min_share: float = MIN_SHARE) -> Weights:
    """Log a table of what a file brings to a model, and refuse an encoder that is not the model's.

    Args:
        own: The model's parameters and buffers.
        weights: The file's under the model's names.
        style: Format of its encoder.
        given: Names in the file, from which the table tells what was split into experts.
        min_share: Share of the encoder's parameters that must fit, see :func:`s5_mm.checkpoints.load_encoder`.

    Returns:
        The weights that fit.

    Raises:
        ValueError: Too little of the encoder fits.
    """
    mine, theirs = part_of(own, ENCODER), part_of(weights, ENCODER)
    source = f'The loaded file ({style.name} format)'
    check_encoder(compare(mine, theirs, style.lacks), mine, theirs, source, min_share)
    fit = compare(own, weights, split=split_names(weights if given is None else given, weights))
    logger = MMLogger.get_current_instance()
    logger.info('Weights from a file (%s format):\n%s', style.name, fit.table)
    if fit.unfit:
        logger.warning('%d tensors have another shape in the file and start from their initialization: %s.',
                       len(fit.unfit), ', '.join(sorted(fit.unfit)[:5]))
    return fit.loaded


def adapt_encoder(weights: Weights, backbone: nn.Module) -> Weights:
    """Let the backbone bring its part of a model's weights, under our names, into its form."""
    if not hasattr(backbone, 'adapt_weights'):
        return weights
    encoder = backbone.adapt_weights(part_of(weights, ENCODER))
    others = {name: value for name, value in weights.items() if not name.startswith(ENCODER)}
    return others | {ENCODER + name: value for name, value in encoder.items()}


def adapt_loaded(model: nn.Module, translate: Callable[[Weights], tuple[Weights, Format | None]], state_dict: dict,
                 prefix: str) -> None:
    """Load hook of a model: files of other models, and a report, unless the file is this model's.

    Args:
        model: A model with a ``backbone``.
        translate: As :func:`translate_segmentor`.
        state_dict: What is loaded; changed in place.
        prefix: Of the model in it.

    Raises:
        ValueError: The file's encoder does not fit, or it is of an unknown format.
    """
    own, given = model.state_dict(), part_of(state_dict, prefix)
    if all(name in given and given[name].shape == value.shape for name, value in own.items()):
        return
    weights, style = translate(given)
    if style is None:
        if given and not own.keys() & given.keys():
            raise ValueError(f'The loaded file has no name in common with the {type(model).__name__} and holds no '
                             f'plain ViT encoder in a known format ({", ".join(known.name for known in FORMATS)}); its '
                             f'names begin with {sorted(given)[:3]}.')
        return
    adapted = adapt_encoder(weights, model.backbone)
    adapted = fit_segmentor(own, adapted, style, given, getattr(model.backbone, 'min_share', MIN_SHARE))
    for name in given:
        del state_dict[prefix + name]
    state_dict.update({prefix + name: value for name, value in adapted.items()})


def part_of(weights: Weights, prefix: str) -> Weights:
    """Weights whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def merge_segmentor(weights: Weights, dataset: str) -> Weights:
    """A plain ``EncoderDecoder`` that computes what the model computes for one dataset.

    Args:
        weights: Of a :class:`s5_mm.MultiDatasetSegmentor`.
        dataset: Whose expert and decoder.

    Raises:
        ValueError: The dataset is unknown.
    """
    check_dataset(weights, dataset)
    encoder = merge_experts(part_of(weights, ENCODER), dataset)
    others = {name: value for name, value in weights.items() if not name.startswith((ENCODER, HEADS))}
    return others | {ENCODER + name: value for name, value in encoder.items()} | {
        f'decode_head.{name}': value for name, value in part_of(weights, f'{HEADS}{dataset}.').items()}


def add_dataset(weights: Weights, new: str, source: str, with_classifier: bool = False) -> Weights:
    """Grow a model by an expert and a decoder, copies of another dataset's.

    Args:
        weights: Of a :class:`s5_mm.MultiDatasetSegmentor`.
        new: Name of the new dataset.
        source: Dataset whose expert and decoder are copied.
        with_classifier: Whether the classifier is copied too, for equal classes; else it is left out and starts from
            its initialization.

    Returns:
        All weights of the grown model.

    Raises:
        ValueError: The new name is taken, or the source unknown.
    """
    check_dataset(weights, source)
    if new in datasets_in(weights):
        raise ValueError(f'The model has a dataset {new!r} already, of {datasets_in(weights)}; choose another name.')
    head = {f'{HEADS}{new}.{name}': value.clone() for name, value in part_of(weights, f'{HEADS}{source}.').items()
            if with_classifier or not name.startswith(CLASSIFIER)}
    experts = {name: value.clone() for name, value in part_of(weights, ENCODER).items()
               if experts_in([name]) == [source]}
    experts = rename_experts(experts, lambda _: new)
    return weights | head | {ENCODER + name: value for name, value in experts.items()}


def datasets_in(weights: Weights) -> list[str]:
    """Datasets that have a decoder."""
    return list(dict.fromkeys(name.split('.')[1] for name in weights if name.startswith(HEADS)))


def check_dataset(weights: Weights, dataset: str) -> None:
    """Check that a file is a :class:`s5_mm.MultiDatasetSegmentor`'s and knows a dataset.

    Raises:
        ValueError: It is not, or does not.
    """
    known = datasets_in(weights)
    if not known:
        raise ValueError('The checkpoint is not of a MultiDatasetSegmentor: no name begins with '
                         f'{HEADS!r}, they begin with {sorted(weights)[:3]}.')
    if dataset not in known:
        raise ValueError(f'The checkpoint has no dataset {dataset!r}; choose one of {known}.')
