"""Tell what a resumed training does with settings that have changed."""
import copy
import warnings
from collections.abc import Iterator
from typing import Any, Literal

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from prettytable import PrettyTable

from s5_mm.registry import HOOKS

from .training_checks import schedulers_of

SETTINGS = ('train_cfg', 'optim_wrapper', 'param_scheduler', 'auto_scale_lr', 'train_dataloader', 'model', 'randomness')
OF_THE_OPTIMIZER = ('optim_wrapper.optimizer.', 'optim_wrapper.paramwise_cfg.', 'param_scheduler', 'auto_scale_lr.')
"""Settings that MMEngine restores with the states of the optimizer and the schedulers."""
ROWS = 40


@HOOKS.register_module()
class ResumeHook(Hook):
    """Compare a config with the one of the checkpoint that a training is resumed from.

    MMEngine restores the optimizer and the schedulers, so that changed learning rates and schedules are not used, and
    says nothing about it. This hook stores the settings of a training in its checkpoints (``settings``), and logs a
    table of those that differ, with the value that counts.

    Args:
        schedule_from: ``'checkpoint'``: the optimizer's options and the schedulers go on as they were. ``'config'``:
            they are those of the config, at the iteration where the training goes on; moments of the optimizer stay.

    Raises:
        ValueError: ``schedule_from`` is another value.
    """

    priority = 'VERY_HIGH'

    def __init__(self, schedule_from: Literal['checkpoint', 'config'] = 'checkpoint') -> None:
        if schedule_from not in ('checkpoint', 'config'):
            raise ValueError(f"ResumeHook: schedule_from is {schedule_from!r}; choose 'checkpoint' or 'config'.")
        self.schedule_from = schedule_from
        self._loaded: dict | None = None
        self._settings: dict = {}

    def before_train(self, runner: Runner) -> None:
        """Log the table, and take the schedule of the config if that is wanted."""
        self._settings = {key: plain(runner.cfg[key]) for key in SETTINGS if key in runner.cfg}
        if self._loaded is None or runner.iter == 0:
            return
        if isinstance(self._loaded.get('settings'), dict):
            self._report(runner, self._loaded['settings'])
        if self.schedule_from == 'config':
            take_schedule(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store the settings."""
        checkpoint['settings'] = self._settings

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the checkpoint's settings until training starts."""
        self._loaded = dict(settings=checkpoint.get('settings'))

    def _report(self, runner: Runner, stored: dict) -> None:
        """Log what differs from the settings of the checkpoint."""
        before, now = dict(flat(stored)), dict(flat(self._settings))
        changed = [key for key in sorted(before.keys() | now.keys())
                   if (key in before, before.get(key)) != (key in now, now.get(key))]
        if not changed:
            return
        table = PrettyTable(['setting', 'checkpoint', 'config', 'what counts'], align='l', max_width=60)
        for key in changed[:ROWS]:
            values = (repr(side[key]) if key in side else '-' for side in (before, now))
            table.add_row([key, *values, self._counts(key)])
        more = f'\n... and {len(changed) - ROWS} more' if len(changed) > ROWS else ''
        hint = ''
        if any(self._counts(key) == 'checkpoint' for key in changed):
            hint = ('\nTo use the schedule and the rates of the config: --cfg-options '
                    'default_hooks.resume.schedule_from=config, or load_from for a new start.')
        runner.logger.warning(f'These settings are not those of the checkpoint:\n{table}{more}{hint}')

    def _counts(self, key: str) -> str:
        """Whose value of a setting is used."""
        if key.startswith(OF_THE_OPTIMIZER):
            return self.schedule_from
        return 'checkpoint' if key == 'randomness.seed' else 'config'


def take_schedule(runner: Runner) -> None:
    """Set options of the optimizer and schedulers as if the training had had this config from its beginning.

    Args:
        runner: A runner that has resumed a training.

    Raises:
        ValueError: It has several optimizers.
    """
    if isinstance(runner.optim_wrapper, OptimWrapperDict):
        raise ValueError("ResumeHook: schedule_from='config' is for one optimizer; this training has "
                         f'{len(runner.optim_wrapper)}.')
    fresh = runner.build_optim_wrapper(copy.deepcopy(runner.cfg.optim_wrapper))
    # MMEngine scales no rates while there are schedulers, which have taken the old ones for their start.
    runner.param_schedulers = None
    runner.scale_lr(fresh, runner.cfg.get('auto_scale_lr'))
    for group, options in zip(runner.optim_wrapper.param_groups, fresh.param_groups, strict=True):
        for key in [key for key in group if key.startswith('initial_')]:
            del group[key]
        group.update({key: value for key, value in options.items() if key != 'params'})
    schedule = copy.deepcopy(runner.cfg.get('param_scheduler'))
    if schedule is None:
        return
    # A loop with epochs of its own converts schedules that are given in these.
    getattr(runner.train_loop, 'convert_schedule', lambda _: None)(schedule)
    runner.param_schedulers = runner.build_param_scheduler(schedule)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # the optimizer has not taken these steps
        for scheduler in schedulers_of(runner):
            for _ in range(runner.epoch if scheduler.by_epoch else runner.iter):
                scheduler.step()


def plain(value: Any) -> Any:
    """A setting as dicts, lists, texts and numbers, which any reader of checkpoints takes."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if value is None or type(value) in (str, int, float, bool) else str(value)


def flat(settings: Any, name: str = '') -> Iterator[tuple[str, Any]]:
    """Dotted name and value of each setting, as ``--cfg-options`` takes them."""
    if isinstance(settings, dict | list) and settings:
        for key, value in settings.items() if isinstance(settings, dict) else enumerate(settings):
            yield from flat(value, f'{name}.{key}' if name else str(key))
    else:
        yield name, settings
