"""MMEngine's runner with our way of loading and saving weights."""
import contextlib
import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from s5_mm.checkpoints import (
    adapt_weights,
    encoder_prefix,
    newest_checkpoint,
    read_checkpoint,
    replace_pretrained,
    require_training_state,
)
from s5_mm.checkpoints.adapters import REVISED_KEYS
from s5_mm.files import replacing
from s5_mm.models.networks import unwrapped
from s5_mm.registry import RUNNERS


@RUNNERS.register_module()
class S5Runner(Runner):
    """MMEngine's ``Runner`` that reads files as weights only and takes every known format, or raises.

    ``load_from`` must bring the encoder where a training starts and the whole model for validation and test. A resumed
    file must have the names of the model. ``init_cfg=dict(type='Pretrained', ...)`` of the model and of its modules is
    done by :class:`s5_mm.checkpoints.LoadWeights`.

    Attributes:
        until_trained: What hooks enter here is left when training ends, also by an error.
    """

    starting = resuming = False
    until_trained: contextlib.ExitStack

    @classmethod
    def from_cfg(cls, cfg: Config) -> Self:
        """Build a runner; ``resume=True`` without ``load_from`` stands for the newest checkpoint of the work dir."""
        if cfg.get('resume') and not cfg.get('load_from'):
            cfg = copy.deepcopy(cfg)
            cfg['load_from'] = newest_checkpoint(cfg['work_dir'])
            cfg['resume'] = cfg['load_from'] is not None
        return super().from_cfg(cfg)

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Build the model; its ``Pretrained`` configs become :class:`s5_mm.checkpoints.LoadWeights`."""
        model = super().build_model(model)
        replace_pretrained(model)
        return model

    def train(self) -> nn.Module:
        """Train; with ``compile`` in the config the encoder is compiled.

        MMEngine would compile the whole step, optimizer included, which fails on CPUs and breaks at every log.
        """
        self.starting = True
        options = self.cfg.pop('compile', None)
        if options:
            model = unwrapped(self.model)
            encoder = model.get_submodule(encoder_prefix(model).removesuffix('.'))
            encoder.compile(**(options if isinstance(options, dict) else {}))
            self.logger.info('The encoder is compiled; its first iterations are slow.')
        with contextlib.ExitStack() as self.until_trained:
            return super().train()

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Resume from a checkpoint that a training with the same model has saved.

        Raises:
            ValueError: It holds weights without the state of a training, or is of another model.
        """
        self.resuming = True
        try:
            super().resume(filename, *args, **kwargs)
        finally:
            self.resuming = False

    def load_checkpoint(self,
                        filename: str,
                        map_location: str | Callable = 'cpu',
                        strict: bool = False,
                        revise_keys: list = [(r'^module\.', ''), *REVISED_KEYS]) -> dict:  # noqa: B006  it is not changed
        """Load a checkpoint.

        Args:
            filename: Path or address, see :func:`s5_mm.checkpoints.read_checkpoint`.
            map_location: As :func:`torch.load` takes it.
            strict: Whether the file must have all names of the model and no other, as when training is resumed.
            revise_keys: (pattern, replacement) of names in the file.

        Returns:
            The file's content, with the weights that were loaded as ``state_dict``.

        Raises:
            ValueError: It does not fit, see :func:`s5_mm.checkpoints.load_weights`.
        """
        checkpoint = read_checkpoint(filename, map_location)
        if self.resuming:
            require_training_state(checkpoint, filename)
            if 'optimizer' not in checkpoint:
                self.logger.warning(f'{filename} holds no state of the optimizer, which starts anew; the best_* files '
                                    'have none, resume from iter_*.pth.')
        weights = checkpoint['state_dict']
        for pattern, replacement in revise_keys:
            weights = {re.sub(pattern, replacement, name): value for name, value in weights.items()}
        model = self.model
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        strict = strict or self.resuming
        if not strict:
            weights, _ = adapt_weights(model, weights, filename, encoder_only=self.starting)
        # Hooks that keep another copy of the weights (EMAHook) expect names of the model.
        checkpoint['state_dict'] = weights
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        try:
            model.load_state_dict(checkpoint['state_dict'], strict=strict)
        except RuntimeError as error:
            raise ValueError(f'{filename} is not of the {type(model).__name__} of this config, and a training is only '
                             f'resumed with the same model; start from it with load_from instead. {error}') from error
        self._has_loaded = True  # MMEngine's own mark, so that test() after this does not load `load_from`
        self.logger.info(f'Load checkpoint from {filename}')
        return checkpoint

    @master_only
    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Save a checkpoint as MMEngine does; a local file is complete or absent, and survives a crash."""
        if not isinstance(get_file_backend(out_dir, backend_args=kwargs.get('backend_args')), LocalBackend):
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        with replacing(Path(out_dir) / filename, durable=True) as unfinished:
            super().save_checkpoint(out_dir, unfinished.name, *args, **kwargs)
