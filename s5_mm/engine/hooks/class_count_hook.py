"""Refuse datasets with another number of classes than the decode head."""
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from s5_mm.engine.loops.naming import check_alike, compare_classes, unwrapped
from s5_mm.registry import HOOKS


@HOOKS.register_module()
class ClassCountHook(Hook):
    """Compare the classes of datasets with ``decode_head.num_classes`` before training and testing.

    With more classes than the data have a network trains and is scored without a word; with fewer, training stops at
    the first label that is too large. Models without a decode head of this name, such as those of several datasets,
    and datasets without ``classes`` are passed over.
    """

    def before_train(self, runner: Runner) -> None:
        """Check what is trained and validated on.

        Raises:
            ValueError: A dataset has another number of classes than the head, or validation has others.
        """
        if head_of(runner.model) is None:
            return
        check_head('train_dataloader', runner.train_dataloader.dataset, runner.model)
        if runner.val_loop is not None:
            check_head('val_dataloader', runner.val_dataloader.dataset, runner.model)
            trained = runner.train_dataloader.dataset
            for source in getattr(trained, 'sources', {'': trained}).values():
                check_alike('The dataset', source, runner.val_dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        """Check what is tested on; raises as :meth:`before_train`."""
        if head_of(runner.model) is not None:
            check_head('test_dataloader', runner.test_dataloader.dataset, runner.model)


def head_of(model: nn.Module) -> nn.Module | None:
    """The decode head whose classes are predicted: the last of a cascade; of FixMatch the trained network's."""
    model = unwrapped(model)
    head = getattr(getattr(model, 'segmentor', model), 'decode_head', None)
    return head[-1] if isinstance(head, nn.ModuleList) else head


def check_head(setting: str, dataset: Dataset, model: nn.Module) -> None:
    """Compare one loader's datasets with the head.

    Args:
        setting: Of the loader, for the message.
        dataset: A dataset, or one that has ``sources``.
        model: A model with a decode head.

    Raises:
        ValueError: A dataset has another number of classes than the head.
    """
    head = head_of(model)
    network = 'model.segmentor' if hasattr(unwrapped(model), 'segmentor') else 'model'
    for name, source in getattr(dataset, 'sources', {'': dataset}).items():
        where = f'{setting}.dataset.sources.{name}' if name else f'{setting}.dataset'
        compare_classes(where, source, 'decode_head', head.num_classes, f'{network}.decode_head.num_classes',
                        'give the dataset the metainfo of these classes')
