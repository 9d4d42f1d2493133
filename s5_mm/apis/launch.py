"""What the command-line tools do to a config before a runner takes it."""
import atexit
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner

from s5_mm.checkpoints import newest_checkpoint
from s5_mm.engine import Bf16OptimWrapper
from s5_mm.launching import destroy_process_group
from s5_mm.registry import RUNNERS


def load_config(path: str,
                work_dir: str | None = None,
                cfg_options: dict | None = None,
                launcher: str = 'none') -> Config:
    """Read a config and apply the command line to it.

    Args:
        path: Config file.
        work_dir: Where the run writes; default ``work_dirs/NAME_OF_CONFIG`` unless the config says it.
        cfg_options: ``key.key=value`` settings that override the config.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Raises:
        FileNotFoundError: There is no such config.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'Config {path} is not a file; those of this package lie under configs/.')
    cfg = Config.fromfile(path)
    cfg.launcher = launcher
    if cfg_options:
        cfg.merge_from_dict(cfg_options)
    cfg.work_dir = work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(path).stem)
    if launcher != 'none':
        atexit.register(destroy_process_group)
    return cfg


def build_runner(cfg: Config) -> Runner:
    """Build the runner of ``runner_type``; default :class:`s5_mm.S5Runner`."""
    cfg.setdefault('runner_type', 's5_mm.S5Runner')
    return RUNNERS.build(cfg)


def set_resume(cfg: Config, checkpoint: str | None = None) -> None:
    """Let training go on from a checkpoint; where there is none yet, it starts as the config says.

    Args:
        cfg: Changed in place.
        checkpoint: The file; ``None`` stands for :func:`s5_mm.checkpoints.newest_checkpoint` of the work dir.
    """
    checkpoint = checkpoint or newest_checkpoint(cfg.work_dir)
    cfg.resume = checkpoint is not None
    if cfg.resume:
        cfg.load_from = checkpoint
    else:
        start = f'the weights of {cfg.load_from}' if cfg.get('load_from') else 'the initial weights of the model'
        print_log(f'There is no checkpoint in {cfg.work_dir} yet; training starts from {start}.', 'current')


def enable_amp(cfg: Config) -> None:
    """Train in bfloat16, on a GPU or a CPU; a config that chose an AMP wrapper itself stays as it is.

    Args:
        cfg: Changed in place.

    Raises:
        ValueError: The config's optimizer wrapper is of a kind that this cannot replace.
    """
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    amp = f's5_mm.{Bf16OptimWrapper.__name__}'
    if kind in (amp, 'AmpOptimWrapper'):
        return
    if kind != 'OptimWrapper':
        raise ValueError(f'--amp cannot replace optim_wrapper.type={kind!r}; it takes OptimWrapper.')
    cfg.optim_wrapper.type = amp
