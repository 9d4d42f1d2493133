"""The runner's way of loading weights."""
import re

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.runner import Runner
from running import FIXMATCH, SUPERVISED, losses, run_tool

from s5_mm.apis import build_runner
from s5_mm.checkpoints import replace_pretrained
from s5_mm.engine import S5Runner
from s5_mm.registry import MODELS


class Payload:
    """Unpickling this creates a file: harmless, but whoever can do that can do anything."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, 'w')


@pytest.fixture
def runner(tmp_path, tiny_segmentor):
    def make(model=None, **settings):
        make.number += 1
        return S5Runner(model=ConfigDict(model or tiny_segmentor()), work_dir=str(tmp_path / 'run'),
                        default_scope='mmseg', experiment_name=f'{tmp_path.name}-{make.number}', **settings)
    make.number = 0
    return make


@pytest.fixture
def saved(tmp_path):
    """A checkpoint of a model with random weights; the model."""
    def save(cfg, name='x.pth', seed=5):
        torch.manual_seed(seed)
        model = MODELS.build(ConfigDict(cfg))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_()
        torch.save(dict(state_dict=model.state_dict(), meta=dict(iter=3, epoch=0, config='raise ValueError'),
                        message_hub={}, optimizer={}), tmp_path / name)
        return str(tmp_path / name), model
    return save


def equal(a, b):
    return all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())


class TestLoadCheckpoint:

    def test_whole_model_for_a_test(self, runner, saved, tiny_segmentor, tiny_vit):
        path, model = saved(tiny_segmentor())
        ours = runner()
        checkpoint = ours.load_checkpoint(path)
        assert equal(ours.model, model)
        assert checkpoint['meta'] == dict(iter=3, epoch=0)
        path, _ = saved(tiny_vit())
        with pytest.raises(ValueError, match='x.pth .*an encoder alone is a start, not a model'):
            ours.load_checkpoint(path)

    def test_encoder_for_the_start_of_a_training(self, runner, saved, tiny_segmentor, tiny_vit):
        path, vit = saved(tiny_vit())
        ours = runner()
        ours.starting = True
        ours.load_checkpoint(path)
        assert equal(ours.model.backbone, vit)
        path, _ = saved(tiny_segmentor(tiny_vit(patch_size=16)))
        with pytest.raises(ValueError, match='The file has patches of 16 px, this encoder of 8: set patch_size=16'):
            ours.load_checkpoint(path)

    def test_resume_takes_exactly_its_own_names(self, runner, saved, tiny_segmentor, tiny_vit):
        ours = runner()
        ours.resuming = True
        path, model = saved(tiny_segmentor())
        ours.load_checkpoint(path)
        assert equal(ours.model, model)
        path, _ = saved(tiny_segmentor(auxiliary_head=dict(
            type='FCNHead', in_channels=16, in_index=2, channels=8, num_classes=3, norm_cfg=dict(type='BN'))))
        with pytest.raises(ValueError, match='(?s)x.pth is not of the EncoderDecoder of this config, .* load_from inst'
                           '.*auxiliary_head.conv_seg.weight'):
            ours.load_checkpoint(path)
        path, _ = saved(dict(type='s5_mm.FixMatchSegmentor', segmentor=tiny_segmentor()))
        with pytest.raises(ValueError, match='is not of the EncoderDecoder of this config'):
            ours.load_checkpoint(path)

    def test_nothing_runs(self, runner, tmp_path):
        torch.save({'state_dict': {}, 'x': Payload(tmp_path / 'created')}, tmp_path / 'x.pth')
        with pytest.raises(ValueError, match='x.pth is refused'):
            runner().load_checkpoint(str(tmp_path / 'x.pth'))
        assert not (tmp_path / 'created').exists()

    def test_hooks_see_names_of_the_model(self, runner, golden, published_encoder):
        seen = {}

        class Watch(Hook):

            def after_load_checkpoint(self, runner, checkpoint):
                seen.update(checkpoint['state_dict'])
        model = dict(type='s5_mm.ViT', arch=golden.arch, img_size=golden.img_size)
        ours = runner(model, custom_hooks=[Watch()])
        ours.load_checkpoint(published_encoder)
        assert seen.keys() == ours.model.state_dict().keys()


class TestPretrained:

    def test_the_whole_comes_after_its_parts(self, saved, tiny_segmentor, tiny_vit):
        inner, vit = saved(tiny_vit(), 'vit.pth', 1)
        outer, model = saved(tiny_segmentor(), 'model.pth', 2)
        for with_outer in (False, True):
            cfg = tiny_segmentor(tiny_vit(init_cfg=dict(type='Pretrained', checkpoint=inner)))
            if with_outer:
                cfg['init_cfg'] = dict(type='Pretrained', checkpoint=outer)
            ours = MODELS.build(cfg)
            replace_pretrained(ours)
            ours.init_weights()
            assert equal(ours.backbone, model.backbone if with_outer else vit)
            assert equal(ours, model) == with_outer

    def test_other_initializers_stay(self, saved, tiny_segmentor, tiny_vit):
        """And heads get the same initial values as without a file."""
        path, vit = saved(tiny_vit())
        models = []
        for init_cfg in (None, dict(type='Pretrained', checkpoint=path)):
            torch.manual_seed(3)
            model = MODELS.build(tiny_segmentor(tiny_vit(init_cfg=init_cfg)))
            replace_pretrained(model)
            model.init_weights()
            models.append(model)
        assert equal(models[0].decode_head, models[1].decode_head)
        assert not equal(models[0].backbone, models[1].backbone)
        assert equal(models[1].backbone, vit)
        assert models[0].init_cfg is None

    def test_teacher_is_left_alone(self, saved, tiny_segmentor, tiny_vit):
        path, vit = saved(tiny_vit())
        segmentor = tiny_segmentor(tiny_vit(init_cfg=dict(type='Pretrained', checkpoint=path)))
        model = MODELS.build(dict(type='s5_mm.FixMatchSegmentor', segmentor=segmentor, teacher={}))
        replace_pretrained(model)
        assert [cfg['module'] for cfg in model.init_cfg] == ['segmentor.backbone']
        model.init_weights()
        assert equal(model.segmentor.backbone, vit)

    def test_prefix_and_part(self, saved, tiny_segmentor, tiny_vit):
        path, model = saved(dict(type='s5_mm.FixMatchSegmentor', segmentor=tiny_segmentor(), teacher={}))
        for init_cfg in (dict(type='Pretrained', prefix='segmentor.backbone.'),
                         dict(type='s5_mm.LoadWeights', part='student')):
            ours = MODELS.build(tiny_segmentor(tiny_vit(init_cfg=dict(init_cfg, checkpoint=path))))
            replace_pretrained(ours)
            ours.init_weights()
            assert equal(ours.backbone, model.segmentor.backbone)

    def test_a_host_that_reads_by_itself_runs_nothing(self, runner, tmp_path, tiny_segmentor):
        """mmseg's Swin opens its file by MMEngine's loader, which would unpickle it."""
        torch.save({'state_dict': {}, 'x': Payload(tmp_path / 'created')}, tmp_path / 'x.pth')
        swin = dict(type='SwinTransformer', embed_dims=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2), window_size=4,
                    init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'x.pth')))
        segmentor = tiny_segmentor(swin)
        segmentor['decode_head']['in_channels'] = [8, 16, 32, 64]
        with pytest.raises(ValueError, match='x.pth is refused'):
            runner(segmentor).model.init_weights()
        assert not (tmp_path / 'created').exists()


class TestRuns:

    def test_runner_of_a_config_without_runner_type(self, tmp_path, tiny_segmentor):
        cfg = dict(model=tiny_segmentor(), work_dir=str(tmp_path), default_scope='mmseg')
        assert type(build_runner(Config(dict(cfg, experiment_name=tmp_path.name)))) is S5Runner
        other = build_runner(Config(dict(cfg, runner_type='Runner', experiment_name=f'{tmp_path.name}-2')))
        assert type(other) is Runner

    def test_start_resume_and_test(self, train, tmp_path):
        """FixMatch with a teacher: it starts from a supervised checkpoint, is resumed exactly, and tested."""
        start = train(SUPERVISED, work_dir='start', **{'model.backbone.init_cfg': None, 'model.init_cfg': None})
        options = {'load_from': str(start / 'iter_2.pth'), 'model.teacher': {}, 'model.init_cfg': None,
                   'model.segmentor.init_cfg': None, 'default_hooks.checkpoint.interval': 1,
                   'default_hooks.checkpoint.max_keep_ckpts': -1}
        straight = train(FIXMATCH, work_dir='straight', iters=2, **options)
        log = next(straight.glob('*/*.log')).read_text()
        assert re.search(r'Weights from \S*start/iter_2.pth \(own names format\)', log)
        run_tool('train', tmp_path / 'straight.py', '--work-dir', tmp_path / 'resumed', '--resume',
                 straight / 'iter_1.pth')
        assert losses(tmp_path / 'resumed')[2] == losses(straight)[2]
        whole, resumed = (torch.load(run / 'iter_2.pth', weights_only=False)['state_dict']
                          for run in (straight, tmp_path / 'resumed'))
        assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
        run_tool('test', tmp_path / 'straight.py', straight / 'iter_2.pth', '--work-dir', tmp_path / 'test')
        with pytest.raises(ValueError, match='an encoder alone is a start, not a model'):
            run_tool('test', tmp_path / 'straight.py', start / 'iter_2.pth', '--work-dir', tmp_path / 'test2')
