"""Checkpoints of which one is complete at every moment."""
import bisect
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.runner import EpochBasedTrainLoop, Runner

from s5_mm.checkpoints.resuming import POINTER
from s5_mm.files import write_text
from s5_mm.hosts import StepCheckpointHook
from s5_mm.registry import HOOKS

STOPS = 'stop_ckpt_ids'
VALIDATED = 'validated_iter'


@HOOKS.register_module()
class SafeCheckpointHook(StepCheckpointHook):
    """MMEngine's ``CheckpointHook`` in an order that loses nothing when the run is killed at any moment.

    Checkpoints and ``best_*`` files are removed after those that take their place are complete. (That files are
    complete or absent is done by :class:`s5_mm.S5Runner`.) Names in a checkpoint never lead to other folders, and a
    work dir that was moved or copied is resumed where it is now. A validation that was cut short is repeated when
    training is resumed. Arguments are those of MMEngine's hook.
    """

    def before_train(self, runner: Runner) -> None:
        """Take over what a checkpoint says of the others, and validate if a killed run was to."""
        hub = runner.message_hub
        # They become parts of file names.
        for key in ('keep_ckpt_ids', STOPS):
            hub.update_info(key, [step for step in hub.get_info(key, []) if isinstance(step, int)])
        super().before_train(runner)
        self._set_best({key: self._here(path) for key, path in self._best().items()})
        if is_main_process() and Path(self.out_dir).is_dir():
            self._point_to_resumed(runner)
        self._finish_validation(runner)

    def save(self, runner: Runner, step: int, meta: dict) -> None:
        """Save a checkpoint, point to it, and only then remove the outdated ones."""
        hub, name = runner.message_hub, self.filename_tmpl.format(step)
        outdated = [stop for stop in hub.get_info(STOPS, []) if stop != step]
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids and step not in hub.get_info(STOPS, []):
            kept = [*self.keep_ckpt_ids, step]
            outdated += kept[:-self.max_keep_ckpts]
            # The file names those that are still there, for the case that the run ends before they are removed.
            hub.update_info('keep_ckpt_ids', kept)
            self.keep_ckpt_ids.append(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir, name, self.file_client_args, save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
            backend_args=self.backend_args, **self.args)
        if is_main_process():
            write_text(Path(runner.work_dir) / POINTER, str(self.last_ckpt))
        for old in outdated:
            self._remove(self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(old)))
        hub.update_info(STOPS, [stop for stop in hub.get_info(STOPS, []) if stop == step])

    def save_now(self, runner: Runner, step: int) -> str | None:
        """Save a run that is about to stop; the file is removed when the next regular one is complete.

        Args:
            runner: The runner.
            step: Iterations that are done.

        Returns:
            The file from which the run is resumed. With ``by_epoch`` that is the one of the last epoch, if any, since
            MMEngine resumes at the beginning of an epoch.
        """
        if self.by_epoch:
            return self.last_ckpt
        if self.last_ckpt is None or Path(self.last_ckpt).name != self.filename_tmpl.format(step):
            runner.message_hub.update_info(STOPS, [*runner.message_hub.get_info(STOPS, []), step])
            self.save(runner, step, dict(epoch=runner.epoch, iter=step))
        return self.last_ckpt

    def after_val_epoch(self, runner: Runner, metrics: dict) -> None:
        """Save the best checkpoints, and then remove those that were the best before."""
        runner.message_hub.update_info(VALIDATED, runner.iter)
        before = self._best()
        # MMEngine removes what these name before it writes.
        self._set_best(dict.fromkeys(before))
        super().after_val_epoch(runner, metrics)
        now = self._best()
        for key, path in before.items():
            if path is not None and now.get(key) not in (None, path):
                self._remove(path)
        self._set_best({key: now.get(key) or path for key, path in before.items()})

    def _best(self) -> dict[str, str | None]:
        """Files of the best checkpoints, by the name of their entry in MMEngine's message hub."""
        if not self.save_best:
            return {}
        if len(self.key_indicators) == 1:
            return {'best_ckpt': self.best_ckpt_path}
        return {f'best_ckpt_{key}': path for key, path in self.best_ckpt_path_dict.items()}

    def _set_best(self, paths: dict[str, str | None]) -> None:
        for key, path in paths.items():
            if key == 'best_ckpt':
                self.best_ckpt_path = path
            else:
                self.best_ckpt_path_dict[key.removeprefix('best_ckpt_')] = path

    def _here(self, path: str | None) -> str | None:
        """The file of a best checkpoint in the folder of this run, if there is one of this name."""
        name = Path(str(path)).name
        here = self.file_backend.join_path(self.out_dir, name)
        return here if name.startswith('best_') and name.endswith('.pth') and self.file_backend.isfile(here) else None

    def _remove(self, path: str) -> None:
        """Remove a file; never a folder, whatever a checkpoint may say."""
        if is_main_process() and self.file_backend.isfile(path):
            self.file_backend.remove(path)

    def _point_to_resumed(self, runner: Runner) -> None:
        """Let ``last_checkpoint`` name where training goes on, since a run may die before it can write that."""
        step = runner.epoch if self.by_epoch else runner.iter
        path = self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(step))
        if step > 0 and self.file_backend.isfile(path):
            write_text(Path(runner.work_dir) / POINTER, str(path))

    def _finish_validation(self, runner: Runner) -> None:
        """Validate if the run was stopped when it was due: a checkpoint is written before the validation."""
        loop = runner.train_loop
        step = loop.epoch if isinstance(loop, EpochBasedTrainLoop) else loop.iter
        if step == 0 or runner.val_loop is None or runner.message_hub.get_info(VALIDATED) == runner.iter:
            return
        interval = loop.dynamic_intervals[bisect.bisect(loop.dynamic_milestones, step + 1) - 1]
        last = loop.max_epochs if isinstance(loop, EpochBasedTrainLoop) else loop.max_iters
        if step >= loop.val_begin and (step % interval == 0 or step == last):
            runner.logger.info('The checkpoint was written before its validation, which is done now.')
            runner.val_loop.run()
