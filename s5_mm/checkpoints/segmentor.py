"""Weights of any known segmentor as those of a :class:`s5_mm.MultiDatasetSegmentor`, which names them
``backbone.*`` and ``decode_heads.DATASET.*``.
"""
from collections.abc import Sequence

from mmengine.logging import MMLogger
from torch import Tensor

from .encoder import check_encoder
from .experts import experts_in, fold_experts, rename_experts
from .fit import compare
from .formats import Format, recognise, translate, translate_decoder
from .publish import PREFIXES

ENCODER, HEADS, CLASSIFIER = 'backbone.', 'decode_heads.', 'conv_seg.'
Weights = dict[str, Tensor]


def translate_segmentor(weights: Weights, datasets: Sequence[str]) -> tuple[Weights, Format | None]:
    """Give a segmentor's weights our names.

    Taken are :class:`s5_mm.MultiDatasetSegmentor`, mmseg's ``EncoderDecoder``, :class:`s5_mm.FixMatchSegmentor` (the
    network that it evaluates), the published S4P and MoE-MDF segmentors, and encoders alone. A decoder that belongs to
    no data set is copied to all, without its classifier, whose classes are others. Data sets of published files are
    matched without regard to case.

    Args:
        weights: The file's.
        datasets: Data sets of the model.

    Returns:
        The weights and the encoder's format; if there is no known encoder, the weights as they are and ``None``.

    Raises:
        ValueError: There are several encoders.
    """
    found = _encoder_of(weights)
    if found is None:
        return weights, None
    style, prefix = found
    root = next((prefix.removesuffix(end) for end in (ENCODER, 'encoder.') if prefix.endswith(end)), prefix)
    encoder = {ENCODER + translate(name.removeprefix(prefix), style): value
               for name, value in weights.items() if name.startswith(prefix)}
    if root == prefix:
        return encoder, style
    others, decoders = {}, {}
    for name, value in weights.items():
        if name.startswith(root) and not name.startswith(prefix):
            owner = translate_decoder(name.removeprefix(root))
            if owner is None:
                others[name.removeprefix(root)] = value
            else:
                decoders.setdefault(owner[0], {})[owner[1]] = value
    return encoder | others | _distribute(decoders, datasets), style


def _encoder_of(weights: Weights) -> tuple[Format, str] | None:
    """Format and prefix of the encoder that a segmentor evaluates."""
    found = recognise(weights)
    if len(found) > 1:
        trained = int(weights.get('teacher.steps', 0)) > 0
        found = [(style, prefix) for style, prefix in found if prefix in PREFIXES['teacher' if trained else 'student']]
        if len(found) != 1:
            raise ValueError('The file holds several encoders, at '
                             f'{sorted(prefix for _, prefix in recognise(weights))}; choose one segmentor with '
                             "init_cfg=dict(type='Pretrained', checkpoint=..., prefix=...).")
    return found[0] if found else None


def _distribute(decoders: dict[str | None, Weights], datasets: Sequence[str]) -> Weights:
    """Weights of decode heads from those of decoders, of which one (``None``) may have no data set."""
    nameless = decoders.pop(None, {})
    # Published MoE-MDF files call the first data set's decoder just "semsegdecoder"; its classifier tells the name.
    bare = [name for name, head in decoders.items() if all(part.startswith(CLASSIFIER) for part in head)]
    if nameless and len(bare) == 1:
        decoders[bare[0]] |= nameless
    elif nameless:
        plain = {name: value for name, value in nameless.items() if not name.startswith(CLASSIFIER)}
        decoders |= {name: plain for name in datasets if name not in decoders}
    spelt = {name.lower(): name for name in datasets}
    return {f'{HEADS}{spelt.get(name.lower(), name)}.{part}': value
            for name, head in decoders.items() for part, value in head.items()}


def fit_segmentor(own: Weights, weights: Weights, style: Format) -> Weights:
    """Log a table of what a file brings to a model, and refuse an encoder that is not the model's.

    Args:
        own: The model's parameters and buffers.
        weights: The file's under the model's names.
        style: Format of its encoder.

    Returns:
        The weights that fit.

    Raises:
        ValueError: Too little of the encoder fits.
    """
    mine, theirs = part_of(own, ENCODER), part_of(weights, ENCODER)
    check_encoder(compare(mine, theirs, style.lacks), mine, theirs, f'The loaded file ({style.name} format)')
    fit = compare(own, weights)
    logger = MMLogger.get_current_instance()
    logger.info('Weights from a file (%s format):\n%s', style.name, fit.table)
    if fit.unfit:
        logger.warning('%d tensors have another shape in the file and start from their initialisation: %s.',
                       len(fit.unfit), ', '.join(sorted(fit.unfit)[:5]))
    return fit.loaded


def part_of(weights: Weights, prefix: str) -> Weights:
    """Weights whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def fold_segmentor(weights: Weights, dataset: str) -> Weights:
    """A plain ``EncoderDecoder`` that computes what the model computes for one data set.

    Args:
        weights: Of a :class:`s5_mm.MultiDatasetSegmentor`.
        dataset: Whose expert and decoder.

    Raises:
        ValueError: The data set is unknown.
    """
    check_dataset(weights, dataset)
    encoder = fold_experts(part_of(weights, ENCODER), dataset)
    others = {name: value for name, value in weights.items() if not name.startswith((ENCODER, HEADS))}
    return others | {ENCODER + name: value for name, value in encoder.items()} | {
        f'decode_head.{name}': value for name, value in part_of(weights, f'{HEADS}{dataset}.').items()}


def add_dataset(weights: Weights, new: str, source: str, with_classifier: bool = False) -> Weights:
    """Grow a model by an expert and a decoder, copies of another data set's.

    Args:
        weights: Of a :class:`s5_mm.MultiDatasetSegmentor`.
        new: Name of the new data set.
        source: Data set whose expert and decoder are copied.
        with_classifier: Whether the classifier is copied too, for equal classes; else it is left out and starts from
            its initialisation.

    Returns:
        All weights of the grown model.

    Raises:
        ValueError: The new name is taken, or the source unknown.
    """
    check_dataset(weights, source)
    if new in datasets_in(weights):
        raise ValueError(f'The model has a data set {new!r} already, of {datasets_in(weights)}; choose another name.')
    head = {f'{HEADS}{new}.{name}': value.clone() for name, value in part_of(weights, f'{HEADS}{source}.').items()
            if with_classifier or not name.startswith(CLASSIFIER)}
    experts = {name: value.clone() for name, value in part_of(weights, ENCODER).items()
               if experts_in([name]) == [source]}
    experts = rename_experts(experts, lambda _: new)
    return weights | head | {ENCODER + name: value for name, value in experts.items()}


def datasets_in(weights: Weights) -> list[str]:
    """Data sets that have a decoder."""
    return list(dict.fromkeys(name.split('.')[1] for name in weights if name.startswith(HEADS)))


def check_dataset(weights: Weights, dataset: str) -> None:
    """Check that a file is a :class:`s5_mm.MultiDatasetSegmentor`'s and knows a data set.

    Raises:
        ValueError: It is not, or does not.
    """
    known = datasets_in(weights)
    if not known:
        raise ValueError('The checkpoint is not of a MultiDatasetSegmentor: no name begins with '
                         f'{HEADS!r}, they begin with {sorted(weights)[:3]}.')
    if dataset not in known:
        raise ValueError(f'The checkpoint has no data set {dataset!r}; choose one of {known}.')
