"""MAE on a pool of images, and S4P that starts from it, by the commands that users type."""
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from running import ROOT, command, load_in_this_process, losses, resumed_at, run_tool, save_config

from s5_mm.checkpoints import load_weights, read_checkpoint
from s5_mm.models import MaskedAutoencoder
from s5_mm.registry import MODELS

QUICK = 'configs/mae/mae_vit-t_1xb32-2k_synthetic-96x96.py'
SIDE = 32


@pytest.fixture(scope='module')
def pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp('pool')
    rng = np.random.default_rng(0)
    for i in range(6):
        coarse = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((48, 48)).save(folder / f'{i}.png')
    return folder


def small(path, pool, steps, **model):
    """A config with the small network and crops of 32 px on the pool."""
    cfg = Config.fromfile(ROOT / path)
    load_in_this_process(cfg._cfg_dict)
    source = cfg.train_dataloader.dataset.sources.unlabeled
    source.update(source=str(pool), data_root=None)
    for step in source.pipeline:
        if step.type == 'RandomCrop':
            step.crop_size = (SIDE, SIDE)
    cfg.train_dataloader.update(batch_size=2)
    cfg.train_dataloader.sampler.per_batch = dict(unlabeled=2)
    cfg.model.update(arch=dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32), img_size=SIDE,
                     decoder=dict(embed_dims=16, num_layers=1, num_heads=2), **model)
    cfg.train_cfg.max_iters = cfg.train_cfg.val_interval = steps
    cfg.param_scheduler[0].end = 1
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint.update(interval=2, max_keep_ckpts=-1)
    cfg.custom_hooks[-1].interval = 2
    cfg.randomness = dict(seed=3)
    return cfg


@pytest.fixture(scope='module')
def trained(pool, tmp_path_factory):
    folder = tmp_path_factory.mktemp('mae')
    path = save_config(small(QUICK, pool, 4), folder / 'mae.py')
    run_tool('train', path, '--work-dir', folder / 'run')
    return path, folder / 'run'


def test_resume_continues_as_if_never_stopped(trained, tmp_path):
    straight, resumed = resumed_at(*trained, 2, tmp_path / 'resumed')
    assert resumed == straight
    assert len(losses(trained[1])) == 4


def test_pictures_of_what_is_predicted(trained):
    picture = np.asarray(Image.open(next(trained[1].glob('*/vis_data/vis_image/reconstruction_4.png'))))
    assert picture.shape == (2 * SIDE, 3 * SIDE, 3)
    original, seen = picture[:SIDE, :SIDE].astype(int), picture[:SIDE, SIDE:2 * SIDE].astype(int)
    same = (abs(original - seen).max(axis=2) <= 1).reshape(4, 8, 4, 8).all(axis=(1, 3))
    assert same.sum() == 4


def test_the_encoder_begins_s4p(trained, tmp_path):
    """It is read as it is and as published, and gives what MAE's own encoder gives for whole images."""
    checkpoint = trained[1] / 'iter_4.pth'
    command('tools/model_converters/publish_s4p.py')([str(checkpoint), str(tmp_path / 'mae.safetensors')])
    arch = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32, out_indices=(0, 1, 2, 3))
    images = torch.randn(2, 3, SIDE, SIDE)
    cfg = Config.fromfile(trained[0]).model
    mae = MODELS.build(cfg).eval()
    assert isinstance(mae, MaskedAutoencoder)
    mae.load_state_dict(read_checkpoint(str(checkpoint))['state_dict'])
    backbone = mae.backbone
    with torch.no_grad():
        tokens = backbone.patch_embed(images)[0] + backbone.pos_embed[:, 1:]
        tokens = torch.cat([(backbone.cls_token + backbone.pos_embed[:, :1]).expand(2, -1, -1), tokens], dim=1)
        for layer in backbone.layers:
            tokens = layer(tokens)
    for path in (checkpoint, tmp_path / 'mae.safetensors'):
        encoder = MODELS.build(dict(type='s5_mm.ViT', arch=arch, img_size=SIDE, patch_size=8, norm_eps=1e-6,
                                    class_token=True, drop_path_rate=0.0)).eval()
        load_weights(encoder, str(path), encoder_only=True)
        with torch.no_grad():
            ours = encoder.block_maps(images)[-1].flatten(2).transpose(1, 2)
        assert torch.allclose(ours, tokens[:, 1:], atol=1e-5)


@pytest.mark.parametrize('path', sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / 'configs/mae').glob('*.py') if 'vit-t' not in path.name))
def test_the_large_configs_train_with_a_small_network(path, pool, tmp_path):
    config = save_config(small(path, pool, 1), tmp_path / 'mae.py')
    run_tool('train', config, '--work-dir', tmp_path / 'run')
    assert np.isfinite(losses(tmp_path / 'run')[1])
