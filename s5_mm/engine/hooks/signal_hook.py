"""Save and end a training when a signal asks for it."""
import torch
from mmengine.dist import all_reduce, barrier, is_distributed
from mmengine.hooks import Hook
from mmengine.runner import Runner

from s5_mm.engine.signals import EXIT_CODE, StopSignals, TrainingStopped, share_signals
from s5_mm.registry import HOOKS

from .safe_checkpoint_hook import SafeCheckpointHook


@HOOKS.register_module()
class SignalHook(Hook):
    """At SIGTERM, SIGUSR1 or Ctrl-C finish the iteration, save a checkpoint and end with the exit code 75.

    With several processes one signal to any of them stops all after the same iteration. With gradient accumulation the
    step of the optimizer is finished. A process alone leaves a validation, which is repeated when training is resumed;
    several finish it, and have saved before. A second signal more than a second later ends at once.

    The hook needs :class:`s5_mm.S5Runner` and :class:`s5_mm.SafeCheckpointHook`.
    """

    priority = 'LOWEST'  # when others have done their part of the iteration

    def __init__(self) -> None:
        self.signals = StopSignals()

    def before_train(self, runner: Runner) -> None:
        """Note signals from now on until training ends, in whatever way."""
        self.signals = runner.until_trained.enter_context(StopSignals())
        loaders = [runner.train_dataloader] + ([] if runner.val_loop is None else [runner.val_dataloader])
        for loader in loaders:
            for single in getattr(loader, 'loaders', {'': loader}).values():
                share_signals(single, self.signals.state)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Stop if any process got a signal."""
        asked = self.signals.received is not None
        if is_distributed():
            flag = torch.tensor(int(asked))
            all_reduce(flag, 'max')
            asked = bool(flag)
        if asked and runner.optim_wrapper.should_update():
            self._stop(runner, runner.iter + 1)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                       outputs: dict | None = None) -> None:
        """Save if this process got a signal, and stop if it is alone; the weights are those of the last iteration."""
        if self.signals.received is None:
            return
        if is_distributed():
            _save(runner, runner.iter)
        else:
            self._stop(runner, runner.iter)

    def _stop(self, runner: Runner, step: int) -> None:
        name = 'A signal to another process' if self.signals.received is None else self.signals.received.name
        saved = _save(runner, step)
        # A launcher may kill the others as soon as one has ended, also the one that writes.
        barrier()
        runner.logger.warning(
            f'{name}: training stops after iteration {step}. ' +
            (f'Repeat the command with --resume to go on from {saved}.' if saved else 'Nothing is saved: there is no '
             'checkpoint yet, and default_hooks.checkpoint does not save iterations as s5_mm.SafeCheckpointHook does.')
            + f' Exit code {EXIT_CODE}.')
        raise TrainingStopped


def _save(runner: Runner, step: int) -> str | None:
    hook = next((hook for hook in runner.hooks if isinstance(hook, SafeCheckpointHook)), None)
    return hook and hook.save_now(runner, step)
