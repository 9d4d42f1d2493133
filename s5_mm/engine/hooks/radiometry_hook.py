"""How training images are read, kept in the checkpoints."""
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from s5_mm.datasets.radiometry import radiometry_of
from s5_mm.models.networks import unwrapped
from s5_mm.radiometry import RECORD, Radiometry, write_records
from s5_mm.registry import HOOKS

from .preflight_hook import sources_of


@HOOKS.register_module()
class RadiometryHook(Hook):
    """Record which bands and values of the training images a model has seen, so that scenes are read alike.

    Checkpoints get the record in their ``meta``, see :func:`s5_mm.radiometry.write_records`. It is what the loading
    steps of the pipelines state: for a model of several datasets that of each, otherwise that of the first source.
    """

    def before_train(self, runner: Runner) -> None:
        """Ask the pipelines."""
        sources = sources_of(runner.train_dataloader.dataset)
        told = {name: radiometry_of(source.pipeline.transforms) for name, source in sources.items()
                if hasattr(source, 'pipeline')}
        known = getattr(unwrapped(runner.model), 'datasets', ())
        self.records: dict[str, Radiometry] = {name: told[name] for name in known if name in told}
        if not known and told:
            self.records = {'': next(iter(told.values()))}
        for name, radiometry in self.records.items():
            print_log(f'Training images{f" of {name}" if name else ""}: {radiometry}.', 'current')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Write the record."""
        records = getattr(self, 'records', {})
        if records:
            checkpoint.setdefault('meta', {})[RECORD] = write_records(records)
