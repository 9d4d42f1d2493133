"""Checks before training and testing, of mistakes that would otherwise show late or only in the results."""
from collections.abc import Iterable, Mapping, Sequence

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from s5_mm.datasets import MultiSourceSampler
from s5_mm.models.networks import evaluated_network, unwrapped
from s5_mm.registry import HOOKS

from .training_checks import check_channels, check_loop, check_schedule


@HOOKS.register_module()
class PreflightHook(Hook):
    """Compare data, sampler and model before the first iteration and before testing.

    Every check is a function of the runner that raises a ``ValueError`` or logs a warning: :data:`TRAIN_CHECKS` and
    :data:`TEST_CHECKS`.
    """

    priority = 'HIGH'

    def before_train(self, runner: Runner) -> None:
        """Run :data:`TRAIN_CHECKS`."""
        for check in TRAIN_CHECKS:
            check(runner)

    def before_test(self, runner: Runner) -> None:
        """Run :data:`TEST_CHECKS`."""
        for check in TEST_CHECKS:
            check(runner)


def check_seed(runner: Runner) -> None:
    """The sampler draws with the seed of the run, without which a resumed run sees the data in another order."""
    sampler = runner.train_dataloader.sampler
    if isinstance(sampler, MultiSourceSampler) and sampler.seed != runner.seed:
        raise ValueError(f'The sampler draws with the seed {sampler.seed}, the run has {runner.seed}; set '
                         "default_hooks.sampler_seed=dict(type='s5_mm.SamplerSeedHook').")


def check_batch_size(runner: Runner) -> None:
    """The loader's batches are those of the sampler."""
    loader = runner.train_dataloader
    sampler = loader.sampler
    if isinstance(sampler, MultiSourceSampler) and loader.batch_size != sampler.batch_size:
        raise ValueError(f'train_dataloader.batch_size is {loader.batch_size}, but its sampler puts '
                         f'{sampler.batch_size} samples into a batch, {sampler.per_batch}; set batch_size to their '
                         'sum.')


def check_composition(runner: Runner) -> None:
    """The model can be trained on the datasets and numbers of images that the sampler puts into a batch."""
    model, sampler = unwrapped(runner.model), runner.train_dataloader.sampler
    if isinstance(sampler, MultiSourceSampler) and hasattr(model, 'check_batch'):
        model.check_batch(sampler.per_batch)


def check_training_classes(runner: Runner) -> None:
    """The datasets of training and validation have as many classes as their heads."""
    check_classes('train_dataloader', _trained(runner), runner.model)
    if runner.val_loop is not None:
        check_classes('val_dataloader', sources_of(runner.val_dataloader.dataset), runner.model)


def check_validation(runner: Runner) -> None:
    """Training and validation agree about the classes, their order and the rule of the label files."""
    if runner.val_loop is None:
        return
    validated = sources_of(runner.val_dataloader.dataset)
    for name, source in _trained(runner).items():
        if _head_of(runner.model, name) is None:
            continue
        if name in validated:
            others = [validated[name]]
        else:
            # A single head predicts the same classes on every dataset; heads of their own need no such agreement.
            others = validated.values() if hasattr(evaluated_network(runner.model), 'decode_head') else ()
        for other in others:
            _check_alike(f'Dataset {name!r}' if name else 'The dataset', source, other)


def check_test_classes(runner: Runner) -> None:
    """The datasets of the test have as many classes as their heads."""
    check_classes('test_dataloader', sources_of(runner.test_dataloader.dataset), runner.model)


TRAIN_CHECKS = (check_loop, check_seed, check_batch_size, check_composition, check_channels, check_training_classes,
                check_validation, check_schedule)
TEST_CHECKS = (check_test_classes, )


def sources_of(dataset: Dataset) -> Mapping[str, Dataset]:
    """Name -> dataset of what has ``sources``; any other dataset under an empty name."""
    return getattr(dataset, 'sources', {'': dataset})


def _trained(runner: Runner) -> Mapping[str, Dataset]:
    """The sources that training draws from."""
    loader = runner.train_dataloader
    drawn = getattr(loader.sampler, 'per_batch', None)
    return {name: source for name, source in sources_of(loader.dataset).items() if drawn is None or name in drawn}


def check_classes(setting: str, sources: Mapping[str, Dataset], model: nn.Module) -> None:
    """Check that datasets have as many classes as their heads.

    Args:
        setting: Setting of the loader, for the message.
        sources: Name -> dataset; those without ``classes`` or without a head in the model are skipped.
        model: A model with a ``decode_head``, or with ``settings`` that hold each dataset's ``num_classes``.

    Raises:
        ValueError: The numbers differ.
    """
    for name, source in sources.items():
        classes, head = _classes_of(source), _head_of(model, name)
        if classes is None or head is None or len(classes) == head[0]:
            continue
        where = f'{setting}: dataset {name!r}' if name else f'{setting}.dataset'
        raise ValueError(f'{where} has {len(classes)} classes ({", ".join(map(str, classes))}), its head in the model '
                         f'has {head[0]}; set {head[1]}={len(classes)}, or choose the classes with label_rule or '
                         'metainfo of the dataset, alike for training, validation and test.')


def check_known(setting: str, names: Iterable[str], model: nn.Module) -> None:
    """Check that a model of several datasets knows these.

    Args:
        setting: Setting that names the datasets, for the message.
        names: Names of datasets.
        model: A model whose ``datasets`` holds the names that it knows; any other model accepts all.

    Raises:
        ValueError: A name is unknown.
    """
    known = getattr(unwrapped(model), 'datasets', None)
    unknown = [] if known is None else sorted(set(names) - set(known))
    if unknown:
        raise ValueError(f'{setting} has the datasets {unknown}, which the model does not know; its model.datasets '
                         f'has {sorted(known)}.')


def _classes_of(dataset: Dataset) -> Sequence[str] | None:
    return (getattr(dataset, 'metainfo', None) or {}).get('classes')


def _head_of(model: nn.Module, dataset: str) -> tuple[int, str] | None:
    """Number of classes of a dataset's head and the setting of that number; ``None`` without such a head."""
    model = unwrapped(model)
    if dataset in getattr(model, 'settings', {}):
        return model.settings[dataset].num_classes, f'model.datasets.{dataset}.num_classes'
    network = evaluated_network(model)
    head = getattr(network, 'decode_head', None)
    if head is None:
        return None
    # The last head of a cascade predicts.
    head = head[-1] if isinstance(head, nn.ModuleList) else head
    return head.num_classes, f'{"model" if network is model else "model.segmentor"}.decode_head.num_classes'


def _check_alike(name: str, trained: Dataset, validated: Dataset) -> None:
    """Check that a dataset has the same classes in training and validation."""
    classes, others = _classes_of(trained), _classes_of(validated)
    if None not in (classes, others) and list(classes) != list(others):
        raise ValueError(f'{name} is trained on the classes ({", ".join(map(str, classes))}) and validated on '
                         f'({", ".join(map(str, others))}); give both loaders the same metainfo, in the same order.')
    rules = {getattr(source, 'label_rule', None) for source in (trained, validated)} - {None}
    roots = {getattr(source, 'data_root', None) for source in (trained, validated)}
    if len(rules) > 1 and len(roots) == 1:
        raise ValueError(f'{name} is trained with label_rule={trained.label_rule!r} and validated with '
                         f'{validated.label_rule!r}, both in {trained.data_root}; files in one folder follow one rule, '
                         'set it alike in the loaders of training, validation and test.')
