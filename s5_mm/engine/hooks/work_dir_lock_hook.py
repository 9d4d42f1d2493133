"""Refuse a second training in a work dir."""
from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from s5_mm.files import remove_parts
from s5_mm.locks import FolderInUseError, locked
from s5_mm.registry import HOOKS


@HOOKS.register_module()
class WorkDirLockHook(Hook):
    """Hold a lock on the work dir while training, since two runs would overwrite each other's checkpoints.

    The lock ends with the process, even if that is killed. The hook needs :class:`s5_mm.S5Runner`.

    Args:
        shared: Whether another training may write to the work dir, too.
    """

    priority = 'VERY_HIGH'

    def __init__(self, shared: bool = False) -> None:
        self.shared = shared

    def before_train(self, runner: Runner) -> None:
        """Take the lock, and remove the temporary files of killed runs.

        Raises:
            ValueError: Another training has it.
        """
        if self.shared:
            return
        refusal = [None]
        if is_main_process():
            try:
                runner.until_trained.enter_context(locked(Path(runner.work_dir)))
                remove_parts(Path(runner.work_dir))
            except FolderInUseError as error:
                refusal = [f'{error} (another --work-dir). Two trainings overwrite each other\'s files; allow that '
                           'with --cfg-options default_hooks.work_dir_lock.shared=True.']
        broadcast_object_list(refusal)
        if refusal[0] is not None:
            raise ValueError(refusal[0])
