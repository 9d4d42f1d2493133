"""Weights of a :class:`s5_mm.MultiDatasetSegmentor` with one dataset taken out or added."""
from .experts import experts_in, merge_experts, rename_experts
from .parts import ENCODER, Weights, part_of

HEADS, CLASSIFIER = 'decode_heads.', 'conv_seg.'


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
