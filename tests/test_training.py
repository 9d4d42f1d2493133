"""What users do, by the commands they use: prepare data, train, resume, test, on generated data in genuine formats."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from running import (
    FIXMATCH,
    ROOT,
    SUPERVISED,
    TINY,
    command,
    forget_instances,
    free_port,
    losses,
    scalars,
    write_config,
)

from s5_mm.checkpoints import read_checkpoint
from s5_mm.models import ENCODERS
from s5_mm.radiometry import Radiometry, read_records


def test_supervised_training_then_test_gives_the_validated_score(train, data, tmp_path):
    work_dir = train(SUPERVISED, iters=2)
    logged = [json.loads(line) for line in next(work_dir.glob('*/vis_data/scalars.json')).read_text().splitlines()]
    validated = next(line for line in logged if 'mIoU' in line)
    forget_instances()
    command('tools/test.py')(
        [
            str(tmp_path / 'run.py'),
            str(work_dir / 'iter_2.pth'),
            '--work-dir',
            str(tmp_path / 'test'),
            '--json',
            str(tmp_path / 'metrics.json'),
            '--out',
            str(tmp_path / 'ids'),
        ]
    )
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert metrics['mIoU'] == validated['mIoU']
    assert len(list((tmp_path / 'ids').glob('*.png'))) == 2
    told = read_records(read_checkpoint(str(work_dir / 'iter_2.pth'))['meta'], 'iter_2.pth')
    assert told == {'': Radiometry()}


def test_network_of_fixmatch_is_tested_with_the_plain_config_too(train, tmp_path):
    checkpoint = train(FIXMATCH, iters=1) / 'iter_1.pth'
    train(SUPERVISED, work_dir='other', iters=1)
    scores = []
    for config in ('run.py', 'other.py'):
        forget_instances()
        command('tools/test.py')([str(tmp_path / config), str(checkpoint), '--work-dir', str(tmp_path / 'tested'),
                                  '--json', str(tmp_path / 'm')])
        scores.append(json.loads((tmp_path / 'm').read_text()))
    assert scores[0] == scores[1]
    assert scores[0]['aAcc'] > 0


def test_images_without_labels_are_predicted_and_not_scored(train, tmp_path, capfd):
    checkpoint = train(SUPERVISED, iters=1) / 'iter_1.pth'
    text = (tmp_path / 'run.py').read_text()
    bare = "test_dataloader['dataset']['data_prefix'] = dict(img_path='img_dir/val')"
    (tmp_path / 'bare.py').write_text(f'{text}\n{bare}\n')
    forget_instances()
    command('tools/test.py')([str(tmp_path / 'bare.py'), str(checkpoint), '--work-dir', str(tmp_path / 'tested'),
                              '--json', str(tmp_path / 'm'), '--out', str(tmp_path / 'ids')])
    assert len(list((tmp_path / 'ids').glob('*.png'))) == 2
    assert json.loads((tmp_path / 'm').read_text()) == {}
    assert 'There is nothing to score' in ''.join(capfd.readouterr())


def test_testing_with_weights_of_another_model_is_an_error(train, tmp_path):
    train(SUPERVISED, iters=1)
    torch.save({'state_dict': {'layer1.0.conv1.weight': torch.zeros(1)}}, tmp_path / 'resnet.pth')
    forget_instances()
    with pytest.raises(ValueError, match='resnet.pth holds no encoder in a known format'):
        command('tools/test.py')([str(tmp_path / 'run.py'), str(tmp_path / 'resnet.pth'), '--work-dir',
                                  str(tmp_path / 'tested'), '--json', str(tmp_path / 'm')])
    assert not (tmp_path / 'm').exists()


def test_fixmatch_logs_its_terms_counts_bad_images_and_draws_panels(train):
    work_dir = train(FIXMATCH, iters=8, **{'custom_hooks.4.interval': 4})
    log = scalars(work_dir)
    assert set(log) == set(range(1, 9))
    for line in log.values():
        assert line['loss'] == pytest.approx((line['loss_x'] + line['loss_u']) / 2, rel=1e-3)
        assert 0 <= line['mask_ratio'] <= 1
        assert {'time', 'data_time', 'lr'} <= set(line)
    assert log[8]['unreadable'] == 1
    assert len(list(work_dir.glob('*/vis_data/vis_image/views_*.png'))) == 2


@pytest.mark.parametrize('config', [SUPERVISED, FIXMATCH])
def test_resume_continues_as_if_never_stopped(train, config):
    # A run that is stopped has the schedule of its whole length.
    options = {'workers': 2, 'param_scheduler.1.end': 6}
    straight = losses(train(config, work_dir='straight', iters=6, **options))
    # Validation in between uses random numbers of its own; it must not matter.
    half = {'train_cfg.val_interval': 3, 'default_hooks.checkpoint.interval': 3}
    train(config, work_dir='stopped', iters=6, **options, **half, **{'train_cfg.max_iters': 3})
    resumed = losses(train(config, '--resume', work_dir='stopped', iters=6, **options, **half))
    assert set(resumed) == {1, 2, 3, 4, 5, 6}
    assert resumed == straight
    assert len(set(straight.values())) == 6


def test_compile_trains_the_same(train):
    """The encoder alone is compiled; the eager backend computes what the plain encoder does."""
    plain, compiled = (losses(train(SUPERVISED, work_dir=name, iters=2, **options)) for name, options in (
        ('plain', {}), ('compiled', {'compile.backend': 'eager', 'compile.fullgraph': True})))
    assert compiled == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize('encoder', ['swin-t', 'mit-b0'])
def test_s4p_of_a_foreign_encoder_goes_through_all_stages(train, tmp_path, encoder):
    """S4P, test, published encoder, supervised fine-tuning, by configs alone; narrow networks of 64 px."""
    narrow = {
        'swin-t': {'embed_dims': 8, 'depths': [1, 1, 1, 1], 'num_heads': [1, 1, 2, 2], 'window_size': 4},
        'mit-b0': {'embed_dims': 8, 'num_layers': [1, 1, 1, 1], 'num_heads': [1, 1, 2, 2]}}[encoder]

    def options(at):
        wide = {f'{at}.backbone.encoder': dict(ENCODERS[encoder].cfg['encoder'], **narrow)}
        return {f'{at}.backbone.name': encoder, f'{at}.init_cfg': None, **wide}
    work_dir = train(FIXMATCH, work_dir='s4p', iters=2, **options('model.segmentor'))
    forget_instances()
    command('tools/test.py')([str(tmp_path / 's4p.py'), str(work_dir / 'iter_2.pth'), '--work-dir',
                              str(tmp_path / 'tested'), '--json', str(tmp_path / 'scores.json')])
    assert 'mIoU' in json.loads((tmp_path / 'scores.json').read_text())
    command('tools/model_converters/publish_s4p.py')([str(work_dir / 'iter_2.pth'), str(tmp_path / 'encoder.pth')])
    for start in (work_dir / 'iter_2.pth', tmp_path / 'encoder.pth'):
        tuned = train(SUPERVISED, work_dir=f'tuned_{start.stem}', iters=1, load_from=str(start), **options('model'))
        assert len(losses(tuned)) == 1
    torch.save({'conv1.weight': torch.zeros(3)}, tmp_path / 'nonsense.pth')
    with pytest.raises(ValueError, match='nonsense.pth holds no encoder in a known format'):
        train(SUPERVISED, work_dir='nonsense', iters=1, load_from=str(tmp_path / 'nonsense.pth'), **options('model'))


def test_a_teacher_without_its_hook_is_an_error_before_the_first_step(train):
    with pytest.raises(RuntimeError, match=r"model.teacher is set, but no hook updates it; add dict\(type="
                                           r"'s5_mm.MeanTeacherHook'\) to custom_hooks, or set model.teacher=None"):
        train(FIXMATCH, iters=1, custom_hooks=[dict(type='s5_mm.IterationSeedHook')])


@pytest.mark.parametrize('accumulated', [1, 3])
def test_teacher_is_updated_once_a_step_of_the_optimizer(train, accumulated):
    """The last iteration makes a step whatever has been accumulated: of 4, after 3 and 4."""
    work_dir = train(FIXMATCH, iters=4, **{'optim_wrapper.accumulative_counts': accumulated})
    weights = torch.load(work_dir / 'iter_4.pth', weights_only=False)['state_dict']
    assert weights['teacher.steps'] == (4 if accumulated == 1 else 2)


def test_resume_takes_over_the_seed_of_a_run_without_a_fixed_one(train):
    free = {
        'randomness.seed': None,
        'default_hooks.checkpoint.interval': 2,
        'default_hooks.checkpoint.max_keep_ckpts': -1,
    }
    straight = train(SUPERVISED, work_dir='straight', iters=4, **free)
    resumed = losses(train(SUPERVISED, '--resume', str(straight / 'iter_2.pth'), work_dir='resumed', iters=4, **free))
    assert resumed == {step: loss for step, loss in losses(straight).items() if step > 2}


def test_amp_trains_on_a_cpu(train):
    line = scalars(train(FIXMATCH, '--amp', iters=1))[1]
    assert np.isfinite(line['loss'])


def test_auto_scale_lr(train):
    line = scalars(
        train(
            SUPERVISED, '--auto-scale-lr', iters=1, **{'auto_scale_lr': dict(base_batch_size=8), 'param_scheduler': []}
        )
    )[1]
    lr = Config.fromfile(ROOT / SUPERVISED).optim_wrapper.optimizer.lr
    assert line['lr'] == pytest.approx(lr * 2 / 8)


def test_another_number_of_classes_is_an_error_before_training(train):
    with pytest.raises(ValueError, match=r"'labeled' has 16 classes .*, its head in the model has 20; .*segmentor"):
        train(FIXMATCH, iters=1, **{'model.segmentor.decode_head.num_classes': 20,
                                    'model.consistency.class_weight': None})


def test_auto_scale_lr_without_a_base_is_an_error(train):
    with pytest.raises(ValueError, match='--auto-scale-lr needs auto_scale_lr=dict'):
        train(SUPERVISED, '--auto-scale-lr', iters=1)


def test_batch_size_and_sampler_must_agree(train):
    with pytest.raises(
        ValueError, match=r"batch_size is 3, but its sampler puts 4 samples into a batch, .*'labeled': 2"
    ):
        train(FIXMATCH, iters=1, **{'train_dataloader.batch_size': 3})


FIXMATCH_ISAID = 'configs/s4p/fixmatch_vit-b-mae_upernet_8xb12-120k_isaid-rs4p1m-512x512.py'


def test_two_processes(data, tmp_path):
    config = write_config(
        tmp_path / 'two.py', FIXMATCH, data, 2, 0, {'model.segmentor.decode_head.norm_cfg.type': 'SyncBN'}
    )
    environment = dict(
        os.environ, PYTHON=sys.executable, PORT=str(free_port()), OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES=''
    )
    run = subprocess.run(
        ['bash', str(ROOT / 'tools/dist_train.sh'), str(config), '2', '--work-dir', str(tmp_path / 'two')],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert len(losses(tmp_path / 'two')) == 2
    assert torch.load(tmp_path / 'two' / 'iter_2.pth', weights_only=False)['meta']['iter'] == 2


@pytest.mark.parametrize('config', sorted(str(path.relative_to(ROOT)) for path in (ROOT / 'configs/s4p').glob('*.py')))
def test_the_paper_configs_train_with_a_small_network(train, config):
    at = 'model' if 'supervised' in config else 'model.segmentor'
    options = {
        f'{at}.backbone.arch': dict(_delete_=True, **TINY),
        f'{at}.backbone.init_cfg': None,
        f'{at}.decode_head.in_channels': [32] * 4,
        f'{at}.decode_head.channels': 16,
    }
    line = scalars(train(config, iters=1, **options))[1]
    assert np.isfinite(line['loss'])


def test_the_documented_config_for_own_data_trains(data, tmp_path):
    text = re.search(r'```python\n(.+?)```', (ROOT / 'docs/new_benchmark.md').read_text(), re.S).group(1)
    assert len(text.splitlines()) <= 15
    make_fields(tmp_path / 'fields')
    config = tmp_path / 'fixmatch_fields.py'
    config.write_text(
        text.replace("'./fixmatch", f"'{ROOT}/configs/s4p/fixmatch").replace('data/fields', str(tmp_path / 'fields'))
    )
    tiny = write_config(
        tmp_path / 'tiny.py',
        config,
        data,
        1,
        0,
        {
            'model.segmentor.backbone.arch': dict(_delete_=True, **TINY),
            'model.segmentor.backbone.init_cfg': None,
            'model.segmentor.decode_head.in_channels': [32] * 4,
            'model.segmentor.decode_head.channels': 16,
        },
        keep_data=True,
    )
    forget_instances()
    command('tools/train.py')([str(tiny), '--work-dir', str(tmp_path / 'run')])
    assert np.isfinite(losses(tmp_path / 'run')[1])


def make_fields(root):
    """Images and masks of three classes in folders, and a pool."""
    rng = np.random.default_rng(0)
    for kind in ('images/train', 'images/val', 'masks/train', 'masks/val', 'pool'):
        (root / kind).mkdir(parents=True)
        for i in range(2):
            # Validation images of different sizes, none of them a multiple of the patch.
            size = (61 + 9 * i, 67) if 'val' in kind else (64, 64)
            values = rng.integers(0, 3, size) if 'masks' in kind else rng.integers(0, 256, (*size, 3))
            name = f'{i}_mask.png' if 'masks' in kind else f'{i}.png'
            Image.fromarray(values.astype(np.uint8)).save(root / kind / name)


def test_the_documented_pool_is_what_is_trained_on(tmp_path):
    page = (ROOT / 'docs/curation.md').read_text()
    text = next(block for block in re.findall(r'```python\n(.+?)```', page, re.S) if 'data/mine' in block)
    config = tmp_path / 'own.py'
    config.write_text(text.replace("'./fixmatch", f"'{ROOT}/configs/s4p/fixmatch"))
    pool = Config.fromfile(config).train_dataloader.dataset.sources.unlabeled
    assert (pool.source, pool.data_root) == ('data/mine/curated.parquet', 'data/mine/patches/images')
    curated = Config.fromfile(ROOT / 'configs/curation/rs4p1m_vit-h_upernet_isaid-512x512.py').curation
    shipped = Config.fromfile(ROOT / FIXMATCH_ISAID).train_dataloader.dataset.sources.unlabeled
    assert shipped.source == f'{curated.work_dir}/curated.parquet'
    assert shipped.data_root == curated.pool.source
