"""A training of milliseconds with the shipped runtime: one weight, six samples, validation by a known score."""
import copy
import os
from pathlib import Path
from unittest import mock

import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from running import ROOT, clear_instances, config_text
from torch import nn

from s5_mm.checkpoints import read_checkpoint
from s5_mm.engine import S5Runner
from s5_mm.registry import DATASETS, METRICS, MODELS

RUNTIME = Config.fromfile(ROOT / 'configs/_base_/runtime/iter_based.py').to_dict()


@MODELS.register_module(force=True)
class ToyModel(BaseModel):
    """Learns to multiply by 1. Inputs of NaN or of other values stand for damaged data."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.layer.weight, 3.0)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        inputs = torch.stack(inputs)
        if mode == 'loss':
            return dict(loss=(self.layer(inputs) - inputs).square().mean())
        return [dict(weight=self.layer.weight.item())] * len(inputs)


@DATASETS.register_module(force=True)
class ToyDataset(torch.utils.data.Dataset):
    """Six numbers, the ``odd`` of which is ``value``."""

    metainfo = dict(classes=('a', 'b'))

    def __init__(self, odd=None, value=1.0):
        self.numbers = [0.1 * (i + 1) for i in range(6)]
        if odd is not None:
            self.numbers[odd] = float(value)

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, index):
        sample = BaseDataElement(metainfo=dict(img_path=f'{index}.png', dataset_name='toy'))
        return dict(inputs=torch.tensor([self.numbers[index]]), data_samples=sample)


@METRICS.register_module(force=True)
class ToyScore(BaseMetric):
    """Minus the weight, which falls from 3 to 1: every validation is the best."""

    def process(self, data_batch, data_samples):
        self.results.extend(data_samples)

    def compute_metrics(self, results):
        return dict(score=-results[0]['weight'])


def toy_config(work_dir, iters=6, interval=2, keep=1, hooks=None, **settings):
    """A config that validates and saves every ``interval`` iterations."""
    runtime = copy.deepcopy(RUNTIME)
    default_hooks = runtime['default_hooks']
    default_hooks['checkpoint'].update(interval=interval, max_keep_ckpts=keep, save_best='score')
    default_hooks.update(hooks or {})
    del default_hooks['visualization']
    loader = dict(batch_size=1, num_workers=0, dataset=dict(type='s5_mm.ToyDataset'))
    cfg = dict(
        runtime, default_hooks=default_hooks, custom_hooks=[], work_dir=str(work_dir),
        model=dict(type='s5_mm.ToyModel'),
        train_dataloader=dict(loader, sampler=dict(type='InfiniteSampler', shuffle=False)),
        val_dataloader=dict(loader, sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=iters, val_interval=interval), val_cfg={},
        val_evaluator=dict(type='s5_mm.ToyScore'), test_cfg={}, test_evaluator=dict(type='s5_mm.ToyScore'),
        test_dataloader=dict(loader, sampler=dict(type='DefaultSampler', shuffle=False)),
        randomness=dict(seed=1), log_level='WARNING',
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)))
    return Config(cfg | settings)


def train_toy(work_dir, resume=False, **settings):
    """Train; with ``resume`` as far as the work dir allows."""
    clear_instances()
    with mock.patch.object(Config, 'pretty_text', property(config_text)):
        runner = S5Runner.from_cfg(toy_config(work_dir, resume=resume, **settings))
        runner.train()
    return runner


def state_of(work_dir):
    """What a run leaves beside its logs: file -> (weight, iteration, state of the optimizer)."""
    state = {}
    for path in sorted(Path(work_dir).iterdir()):
        if path.suffix == '.pth':
            content = read_checkpoint(str(path))
            momentum = content.get('optimizer', {}).get('state', {}).get(0, {}).get('momentum_buffer')
            state[path.name] = (content['state_dict']['layer.weight'].item(), content['meta']['iter'],
                                None if momentum is None else momentum.item())
        elif path.name == 'last_checkpoint':
            state[path.name] = os.path.basename(path.read_text())
        elif path.is_file() and path.suffix != '.py':
            state[path.name] = 'litter'
    return state
