"""Report images of the unlabeled pool that could not be read."""
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner

from s5_mm.registry import HOOKS

from .batches import samples_of

INFO_KEY = 'unreadable_images'


@HOOKS.register_module()
class UnreadableImagesHook(Hook):
    """Warn once of every image that the loader workers had to replace, and log how many there are.

    Looks for ``unreadable`` (paths) in the metainfo of the batch's data samples; the total of all processes is logged
    as ``unreadable`` once it is above 0. The paths known so far are kept in checkpoints.

    Args:
        interval (int): Iterations between two exchanges among processes, at least 1.

    Raises:
        ValueError: ``interval`` below 1.
    """

    def __init__(self, interval: int = 10) -> None:
        if interval < 1:
            raise ValueError(f'`interval` is {interval}; it must be at least 1')
        self.interval = interval
        self._known: set[str] = set()
        self._new: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        """Take over what a resumed run already knew."""
        self._known = set(runner.message_hub.get_info(INFO_KEY, []))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Collect the batch's unreadable paths; report them at every ``interval``-th and the last iteration."""
        for sample in samples_of((data_batch or {}).get('data_samples')):
            self._new.update(sample.get('unreadable', ()))
        if self.every_n_train_iters(runner, self.interval) or runner.iter + 1 == runner.max_iters:
            self._report(runner)

    def _report(self, runner: Runner) -> None:
        found = set().union(*all_gather_object(sorted(self._new))) - self._known
        self._new.clear()
        for path in sorted(found):
            runner.logger.warning(f'unreadable image in the unlabeled pool, replaced by another one: {path}')
        self._known |= found
        if found:
            runner.message_hub.update_info(INFO_KEY, sorted(self._known))
        if self._known:
            runner.message_hub.update_scalar('train/unreadable', len(self._known))
