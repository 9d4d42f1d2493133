"""Agreement of loaders, evaluators and model about the names and classes of datasets."""
from collections.abc import Iterable, Mapping

from mmengine.model import is_model_wrapper
from torch import nn
from torch.utils.data import Dataset


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside a wrapper for several processes, if it has one."""
    return model.module if is_model_wrapper(model) else model


def check_known(setting: str, names: Iterable[str], model: nn.Module) -> None:
    """Check that a model with datasets of its own knows these.

    Args:
        setting: The setting that names the datasets, for the message.
        names: Their names.
        model: A model whose ``datasets`` holds the names that it knows; any other model knows all.

    Raises:
        ValueError: A name is unknown.
    """
    known = getattr(unwrapped(model), 'datasets', None)
    unknown = [] if known is None else sorted(set(names) - set(known))
    if unknown:
        raise ValueError(f'{setting} has the datasets {unknown}, which the model does not know; its model.datasets '
                         f'has {sorted(known)}.')


def check_classes(setting: str, sources: Mapping[str, Dataset], model: nn.Module) -> None:
    """Check that datasets have as many classes as their heads.

    Args:
        setting: The setting that names the datasets, for the message.
        sources: Name -> dataset. Those that know no classes, and those that the model does not know, are passed over.
        model: A model whose ``settings`` holds each dataset's ``num_classes``; any other model suits all.

    Raises:
        ValueError: The numbers differ.
    """
    settings = getattr(unwrapped(model), 'settings', {})
    for name, source in sources.items():
        if name in settings:
            compare_classes(
                f'{setting}: dataset {name!r}', source, 'its head in the model', settings[name].num_classes,
                f'model.datasets.{name}.num_classes', 'choose the classes with label_rule or metainfo of the dataset, '
                'alike for training, validation and test')


def compare_classes(name: str, source: Dataset, head: str, number: int, setting: str, otherwise: str) -> None:
    """Compare the number of classes of a dataset and of its head.

    Args:
        name: Of the dataset, for the message, as the next ones.
        source: The dataset; one without ``classes`` suits every head.
        head: Name of the head.
        number: Its classes.
        setting: Where the number is set.
        otherwise: What else mends it.

    Raises:
        ValueError: They differ.
    """
    classes = (getattr(source, 'metainfo', None) or {}).get('classes')
    if classes is not None and len(classes) != number:
        raise ValueError(f'{name} has {len(classes)} classes ({", ".join(map(str, classes))}), {head} has {number}; '
                         f'set {setting}={len(classes)}, or {otherwise}.')


def check_alike(name: str, trained: Dataset, validated: Dataset) -> None:
    """Check that a dataset means the same classes in training and validation.

    Args:
        name: Of the dataset, for the message.
        trained: What is trained on; datasets without ``classes`` suit all.
        validated: What is validated on.

    Raises:
        ValueError: Names or order of the classes differ, or two ``label_rule`` for files in one ``data_root``.
    """
    classes, others = ((getattr(source, 'metainfo', None) or {}).get('classes') for source in (trained, validated))
    if None not in (classes, others) and list(classes) != list(others):
        raise ValueError(f'{name} is trained on the classes ({", ".join(map(str, classes))}) and validated on '
                         f'({", ".join(map(str, others))}); give both loaders the same metainfo, in the same order.')
    rules = {getattr(source, 'label_rule', None) for source in (trained, validated)} - {None}
    roots = {getattr(source, 'data_root', None) for source in (trained, validated)}
    if len(rules) > 1 and len(roots) == 1:
        raise ValueError(f'{name} is trained with label_rule={trained.label_rule!r} and validated with '
                         f'{validated.label_rule!r}, both in {trained.data_root}; files in one place follow one rule, '
                         'set it alike in the loaders of training, validation and test.')


def check_same(loader: str, loader_names: Iterable[str], evaluator: str, evaluator_names: Iterable[str]) -> None:
    """Check that every dataset has a loader and an evaluator.

    Args:
        loader: Setting of the loaders, for the message.
        loader_names: Their datasets.
        evaluator: Setting of the evaluators.
        evaluator_names: Their datasets.

    Raises:
        ValueError: They differ, there is none, or one has the name ``mean``.
    """
    loaders, evaluators = sorted(loader_names), sorted(evaluator_names)
    if loaders != evaluators or not loaders:
        raise ValueError(f'{loader} has the datasets {loaders}, {evaluator} has {evaluators}; both need the same '
                         'names, at least one.')
    if 'mean' in loaders:
        raise ValueError(f"{loader} has a dataset 'mean', which is where the means of all datasets are reported; "
                         'choose another name.')
