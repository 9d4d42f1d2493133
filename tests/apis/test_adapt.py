"""The command that adapts a checkpoint to the pool, on the quickstart's data and config in small."""
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from running import ROOT, command, load_in_this_process

from s5_mm.apis.adapt import adapt_to_pool
from s5_mm.models.batch_norm import batch_norms
from s5_mm.models.networks import evaluated_network
from s5_mm.registry import MODELS

CONFIG = 'configs/quickstart/fixmatch_vit-t_upernet_synthetic-96x96.py'


@pytest.fixture
def pool(tmp_path):
    generator = np.random.default_rng(0)
    (tmp_path / 'pool').mkdir()
    for i in range(4):
        Image.fromarray(generator.integers(100, 200, (64, 64, 3), dtype=np.uint8)).save(tmp_path / f'pool/{i}.png')
    return tmp_path / 'pool'


@pytest.fixture
def cfg(pool):
    cfg = Config.fromfile(ROOT / CONFIG)
    sources = cfg.train_dataloader.dataset.sources
    sources.unlabeled.source = str(pool)
    sources.unlabeled.pipeline[3].crop_size = (32, 32)
    cfg.train_dataloader.sampler.per_batch.unlabeled = 2
    network = cfg.model.segmentor
    network.backbone.arch = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32)
    network.backbone.update(img_size=32, out_indices=(0, 1, 2, 3))
    network.decode_head.channels = 8
    network.init_cfg = None
    cfg.model.data_preprocessor.size = (32, 32)
    load_in_this_process(cfg)
    return cfg


@pytest.fixture
def checkpoint(cfg, tmp_path):
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    torch.nn.init.normal_(model.segmentor.decode_head.conv_seg.weight, std=0.5)
    model.update_teacher()
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'start.pth')
    return str(tmp_path / 'start.pth')


def test_norms_and_shares(cfg, checkpoint, tmp_path, monkeypatch, capsys):
    tool = command('tools/model_converters/adapt_to_pool.py')
    monkeypatch.setitem(tool.__globals__, 'load_config', lambda path, cfg_options: cfg)
    shares = [0.5] + [0.5 / 15] * 15
    out = tmp_path / 'adapted.pth'
    tool([CONFIG, checkpoint, str(out), '--batches', '3', '--shares', *map(str, shares)])
    assert f'test it with python tools/test.py {CONFIG} {out}' in capsys.readouterr().out
    before = torch.load(checkpoint)['state_dict']
    after = torch.load(out)['state_dict']
    assert set(before) == set(after)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert all(name.startswith('teacher.module.') for name in changed)
    kinds = {name.rsplit('.', 1)[1] for name in changed}
    assert kinds == {'running_mean', 'running_var', 'num_batches_tracked', 'bias'}
    model = MODELS.build(cfg.model).eval()
    model.load_state_dict(after)
    assert len(batch_norms(evaluated_network(model))) == len([name for name in changed if 'running_mean' in name])
    ratios = (after['teacher.module.decode_head.conv_seg.bias'] - before['teacher.module.decode_head.conv_seg.bias'])
    assert ratios[0] > ratios[1:].mean()


def test_errors(cfg, checkpoint, tmp_path):
    out = str(tmp_path / 'adapted.pth')
    with pytest.raises(ValueError, match='Nothing to do: keep batch_norm, or give shares'):
        adapt_to_pool(cfg, checkpoint, out, batch_norm=False)
    with pytest.raises(ValueError, match='batches is 0; it must be at least 1'):
        adapt_to_pool(cfg, checkpoint, out, batches=0)
    with pytest.raises(ValueError, match=r"has no source 'pool', only \['labeled', 'unlabeled'\]"):
        adapt_to_pool(cfg, checkpoint, out, source='pool')
    with pytest.raises(ValueError, match=r'shares are \[1\]; give 16 numbers'):
        adapt_to_pool(cfg, checkpoint, out, batch_norm=False, shares=[1])
    (tmp_path / 'adapted.pth').touch()
    with pytest.raises(FileExistsError):
        adapt_to_pool(cfg, checkpoint, out)
