"""The initializer that loads weights, for ``init_cfg``."""
from collections.abc import Iterator

from mmengine.model import PretrainedInit
from torch import nn

from s5_mm.hosts import note_initialization
from s5_mm.registry import WEIGHT_INITIALIZERS

from .loading import load_weights

NAME = 's5_mm.LoadWeights'


@WEIGHT_INITIALIZERS.register_module()
class LoadWeights:
    """Load a file of any known format: ``init_cfg=dict(type='s5_mm.LoadWeights', checkpoint=...)``.

    The encoder must be complete in the file, whatever else fits is loaded too; see
    :func:`s5_mm.checkpoints.load_weights`.

    Args:
        checkpoint: Path or address of the file.
        module: Name of the module that gets the weights, below the one that has the ``init_cfg``; empty: itself.
        prefix: What stands before the names of that module in the file; ``None``: it is found out.
        part: Of a semi-supervised checkpoint ``'student'``, ``'teacher'``, or ``'auto'``: what is evaluated.
    """

    def __init__(self, checkpoint: str, module: str = '', prefix: str | None = None, part: str = 'auto') -> None:
        self.checkpoint = checkpoint
        self.module = module
        self.prefix = prefix
        self.part = part

    def __call__(self, module: nn.Module) -> None:
        """Initialize the children of a module, which MMEngine would do later and over the weights, then load."""
        for child in module.children():
            if hasattr(child, 'init_weights') and not getattr(child, 'is_init', False):
                child.init_weights()
                child.is_init = True
        load_weights(module.get_submodule(self.module), self.checkpoint, part=self.part, encoder_only=True,
                     prefix=self.prefix)
        note_initialization(module, f'LoadWeights: {self.checkpoint}')


def replace_pretrained(model: nn.Module) -> None:
    """Let :class:`LoadWeights` do what MMEngine's ``Pretrained`` would do in a model.

    The configs move from the modules to the ``init_cfg`` of the model, which runs last: some backbones read a file of
    their own ``init_cfg`` themselves, others draw new values afterwards.

    Args:
        model: Changed: ``init_cfg`` of itself and of its modules.
    """
    moved = []
    for name, module in _initialized(model):
        configs = module.init_cfg if isinstance(module.init_cfg, list) else [module.init_cfg]
        ours = [cfg for cfg in configs if cfg and cfg['type'] in ('Pretrained', PretrainedInit, NAME, LoadWeights)]
        moved += [dict(type=NAME, checkpoint=cfg['checkpoint'], prefix=cfg.get('prefix'), part=cfg.get('part', 'auto'),
                       module='.'.join(filter(None, (name, cfg.get('module'))))) for cfg in ours]
        if ours:
            module.init_cfg = [cfg for cfg in configs if cfg not in ours] or None
    if moved:
        # A part's own file comes before that of the whole, and is loaded over by it, as in MMEngine.
        moved.sort(key=lambda cfg: -len(cfg['module'].split('.')) if cfg['module'] else 0)
        model.init_cfg = [*(model.init_cfg or []), *moved]


def _initialized(module: nn.Module, name: str = '') -> Iterator[tuple[str, nn.Module]]:
    """The modules that ``init_weights`` reaches; a teacher, a copy, is none."""
    if hasattr(module, 'init_cfg'):
        yield name, module
    for child, part in module.named_children():
        if hasattr(part, 'init_weights'):
            yield from _initialized(part, f'{name}.{child}'.removeprefix('.'))
