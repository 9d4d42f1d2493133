"""Validation and test of several datasets in one run, each with its own loader, classes and metrics."""
import math
from collections.abc import Iterable, Iterator, Sequence

from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from mmengine.runner import Runner, TestLoop, ValLoop
from mmengine.structures import BaseDataElement
from prettytable import PrettyTable
from torch.utils.data import DataLoader

from s5_mm.datasets import MultiSourceDataset
from s5_mm.engine.hooks.preflight_hook import check_classes, check_known
from s5_mm.registry import LOOPS


class LoaderChain:
    """Loaders of several datasets one after another, each sample marked with its dataset's name.

    Args:
        loaders: Name of the dataset -> its loader.
    """

    def __init__(self, loaders: dict[str, DataLoader]) -> None:
        self.loaders = loaders
        self.dataset = MultiSourceDataset({name: loader.dataset for name, loader in loaders.items()})

    def __len__(self) -> int:
        return sum(len(loader) for loader in self.loaders.values())

    def __iter__(self) -> Iterator[dict]:
        for name, loader in self.loaders.items():
            for batch in loader:
                for sample in batch['data_samples']:
                    sample.set_metainfo(dict(dataset_name=name))
                yield batch


class MultiDatasetEvaluator(Evaluator):
    """An evaluator for each dataset, chosen by ``dataset_name`` of the samples.

    Args:
        evaluators: Name of the dataset -> its evaluator.
        chain: The loaders, whose datasets state classes and numbers of samples.
    """

    def __init__(self, evaluators: dict[str, Evaluator], chain: LoaderChain) -> None:
        super().__init__([])
        self.evaluators = evaluators
        self.sizes = {name: len(source) for name, source in chain.dataset.sources.items()}

    def process(self, data_samples: Sequence[BaseDataElement], data_batch: dict | None = None) -> None:
        """Hand a batch of one dataset to its evaluator.

        Args:
            data_samples: Predictions.
            data_batch: The batch.
        """
        self.evaluators[data_samples[0].metainfo['dataset_name']].process(data_samples, data_batch)

    def evaluate(self, size: int) -> dict[str, float]:
        """Metrics of each dataset, and means over datasets.

        Args:
            size: Not used; each dataset has its own size.

        Returns:
            ``'<dataset>/<metric>'``, and ``'mean/<metric>'`` for each metric that all datasets have: the mean of the
            defined values.
        """
        metrics = {}
        for name, evaluator in self.evaluators.items():
            print_log(f'dataset {name}:', 'current')
            metrics[name] = evaluator.evaluate(self.sizes[name])
        metrics['mean'] = _means(metrics)
        print_log(f'\n{_table(metrics)}', 'current')
        return {f'{name}/{key}': value for name, values in metrics.items() for key, value in values.items()}


def _means(metrics: dict[str, dict[str, float]]) -> dict[str, float]:
    """Mean over datasets of each number that all of them report, as far as it is defined."""
    means = {}
    for key in set.intersection(*map(set, metrics.values())):
        known = [values[key] for values in metrics.values()
                 if isinstance(values[key], int | float) and not math.isnan(values[key])]
        if known:
            means[key] = round(sum(known) / len(known), 2)
    return dict(sorted(means.items()))


def _table(metrics: dict[str, dict[str, float]]) -> PrettyTable:
    """The shared metrics, one dataset a row; values of single classes, named ``METRIC.CLASS``, are left out."""
    shared = [key for key in metrics['mean'] if '.' not in key]
    table = PrettyTable(['dataset', *shared])
    table.add_rows([[name, *(values[key] for key in shared)] for name, values in metrics.items()])
    return table


def _check_names(loader: str, loader_names: Iterable[str], evaluator: str, evaluator_names: Iterable[str]) -> None:
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
        raise ValueError(f"{loader} has a dataset 'mean', the name under which the means of all datasets are reported; "
                         'choose another name.')


class _MultiDataset:
    """The common part of the two loops.

    Attributes:
        setting: Prefix of the settings of loaders and evaluators.
        single: MMEngine's loop for one dataset.
    """

    setting: str
    single: type[ValLoop] | type[TestLoop]

    def __init__(self, runner: Runner, dataloader: dict, evaluator: dict, fp16: bool = False) -> None:
        loaders, evaluators = f'{self.setting}_dataloader', f'{self.setting}_evaluator'
        for setting, value, key in ((loaders, dataloader, 'dataset'), (evaluators, evaluator, 'type')):
            if not isinstance(value, dict) or key in value:
                raise ValueError(f'{type(self).__name__}: {setting} must be a dict of one for each dataset, '
                                 f'{setting}=dict(NAME=..., ...).')
        _check_names(loaders, dataloader, evaluators, evaluator)
        check_known(loaders, dataloader, runner.model)
        # Each builds the loader and the evaluator of one dataset.
        singles = {name: self.single(runner, loader, evaluator[name]) for name, loader in dataloader.items()}
        chain = LoaderChain({name: single.dataloader for name, single in singles.items()})
        check_classes(loaders, chain.dataset.sources, runner.model)
        built = {name: single.evaluator for name, single in singles.items()}
        super().__init__(runner, chain, MultiDatasetEvaluator(built, chain), fp16)

    @property
    def dataset_metas(self) -> dict[str, dict]:
        """Name of the dataset -> its meta information (classes, palette)."""
        return {name: evaluator.dataset_meta for name, evaluator in self.evaluator.evaluators.items()}


@LOOPS.register_module()
class MultiDatasetValLoop(_MultiDataset, ValLoop):
    """Validate one model on several datasets.

    Every sample gets its dataset's name as ``dataset_name`` in its metainfo, which is what the route
    (:mod:`s5_mm.routing`) is made from. Metrics are reported as ``<dataset>/<metric>``, means over the datasets as
    ``mean/<metric>``, so that ``save_best='mean/mIoU'`` keeps the checkpoint that is best for all.

    Args:
        runner: The runner.
        dataloader: Name of the dataset -> loader or its config.
        evaluator: Name of the dataset -> metric config or a list of them.
        fp16: MMEngine's: whether to run in float16.

    Raises:
        ValueError: Loaders, evaluators and model do not agree about the names, or a dataset and its head about the
            number of classes.
    """

    setting = 'val'
    single = ValLoop


@LOOPS.register_module()
class MultiDatasetTestLoop(_MultiDataset, TestLoop):
    """Test one model on several datasets, as :class:`MultiDatasetValLoop` does.

    Args:
        runner: The runner.
        dataloader: Name of the dataset -> loader or its config.
        evaluator: Name of the dataset -> metric config or a list of them.
        fp16: MMEngine's: whether to run in float16.

    Raises:
        ValueError: Loaders, evaluators and model do not agree about the names, or a dataset and its head about the
            number of classes.
    """

    setting = 'test'
    single = TestLoop
