"""Run the commands of the repository inside a test, on small generated data."""

import gc
import importlib.util
import inspect
import json
import socket
from pathlib import Path

import s5_mm  # noqa: F401  serves mmcv.ops, so it comes before mmrotate

# isort: split
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from mmrotate.visualization import RotLocalVisualizer
from mmseg.visualization import SegLocalVisualizer
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

ROOT = Path(__file__).parents[1]
SUPERVISED = 'configs/quickstart/supervised_vit-t_upernet_synthetic-96x96.py'
FIXMATCH = 'configs/quickstart/fixmatch_vit-t_upernet_synthetic-96x96.py'
RUNNER_SETTINGS = {*inspect.signature(Runner).parameters, 'auto_scale_lr', 'custom_imports'}
TINY = dict(embed_dims=32, num_layers=4, num_heads=2, feedforward_channels=64, out_indices=(0, 1, 2, 3))


def narrow(cfg):
    """Options that make an encoder of the table small."""
    if cfg['type'] == 's5_mm.InternImage':
        return dict(channels=16, depths=(1, 2, 1, 1), groups=(2, 4, 8, 16))
    if cfg['type'] == 's5_mm.HostEncoder':
        small = dict(embed_dims=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2))
        return dict(encoder=cfg['encoder'] | small) if 'Swin' in cfg['encoder']['type'] else {}
    arch = dict(arch=dict(TINY, embed_dims=16), out_indices=(0, 1, 2, 3))
    return arch | (dict(group_dims=8) if 'groups' in cfg else {})


def command(path):
    """The ``main`` function of a script."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def free_port():
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def forget_instances():
    """MMEngine keeps visualizers, loggers and message hubs by name in a process; each command starts without."""
    # Collected with their queues, loaders wait up to 10 seconds for each worker, which nothing tells to end any more.
    for iterator in [found for found in gc.get_objects() if type(found) is _MultiProcessingDataLoaderIter]:
        iterator._shutdown_workers()
    # Loaders of an earlier run that are collected while a config is parsed upset CPython 3.11's parser.
    gc.collect()
    clear_instances()


def clear_instances():
    """The quick part of :func:`forget_instances`, for runs that parse no config."""
    for kind in (Visualizer, SegLocalVisualizer, RotLocalVisualizer, MMLogger, MessageHub):
        kind._instance_dict.clear()


def run_tool(name, *arguments):
    """Run tools/NAME.py, without the default scopes of runs before it, which MMEngine keeps by name."""
    forget_instances()
    DefaultScope._instance_dict.clear()
    command(f'tools/{name}.py')([str(argument) for argument in arguments])


def config_text(cfg):
    """A config as Python."""
    return ''.join(f'{key} = {value!r}\n' for key, value in cfg.to_dict().items())


def dicts_in(node):
    """Every dict inside a config, with lists on the way."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ():
        yield from dicts_in(child)


def load_in_this_process(cfg):
    """Loaders without workers."""
    for loader in dicts_in(cfg):
        if 'dataset' in loader and 'batch_size' in loader:
            loader.update(num_workers=0, persistent_workers=False, pin_memory=False)


def save_watched(cfg, path, options=None):
    """Write a config that logs every iteration, keeps a checkpoint of every third and has a seed."""
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint.update(interval=3, max_keep_ckpts=-1)
    cfg.randomness = dict(seed=3)
    cfg.merge_from_dict(options or {})
    return save_config(cfg, path)


def save_config(cfg, path):
    """Write what a runner reads of a config; what the base configs define for their heirs would only be printed."""
    path.write_text(config_text(Config({key: value for key, value in cfg.items() if key in RUNNER_SETTINGS})))
    return path


def write_config(path, base, data, iters, workers, options, keep_data=False):
    """A config that inherits from one of ours, on the small data, with 2 images of each source in a batch."""
    base = Path(base)
    cfg = Config.fromfile(ROOT / base)
    sources = cfg.train_dataloader.dataset.sources
    loader = dict(num_workers=workers, persistent_workers=workers > 0)
    settings = dict(
        train_cfg=dict(max_iters=iters, val_interval=iters),
        train_dataloader=dict(batch_size=2 * len(sources), sampler=dict(per_batch=dict.fromkeys(sources, 2)), **loader),
        val_dataloader=dict(**loader),
        test_dataloader=dict(**loader),
        default_hooks=dict(logger=dict(interval=1), checkpoint=dict(interval=iters)),
        randomness=dict(seed=3),
    )
    if not keep_data:
        where = dict(labeled=dict(data_root=str(data / 'isaid')), unlabeled=dict(source=str(data / 'unlabeled')))
        settings['train_dataloader']['dataset'] = dict(sources={name: where[name] for name in sources})
        for loader in ('val_dataloader', 'test_dataloader'):
            settings[loader].update(batch_size=2, dataset=dict(data_root=str(data / 'isaid')))
    lines = [f'_base_ = [{str(ROOT / base)!r}]', *(f'{name} = {value!r}' for name, value in settings.items())]
    path.write_text('\n'.join(lines))
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(options)
    cfg.dump(path)
    return path


def scalars(work_dir):
    """What was logged, by iteration; the newest run of the work dir last."""
    lines = [
        json.loads(line)
        for path in sorted(work_dir.glob('*/vis_data/scalars.json'))
        for line in path.read_text().splitlines()
    ]
    return {line['step']: line for line in lines if 'loss' in line}


def validated(work_dir):
    """The metrics of the last validation on several datasets."""
    lines = next(work_dir.glob('*/vis_data/scalars.json')).read_text().splitlines()
    return [json.loads(line) for line in lines if '"mean/' in line][-1]


def losses(work_dir):
    return {step: line['loss'] for step, line in scalars(work_dir).items()}


def resumed_at(config, straight, step, work_dir):
    """Losses of a run after one of its steps, and those of a run resumed at that step."""
    run_tool('train', config, '--work-dir', work_dir, '--resume', straight / f'iter_{step}.pth')
    return {later: loss for later, loss in losses(straight).items() if later > step}, losses(work_dir)
