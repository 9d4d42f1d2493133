"""What the command line does to a config."""
import pytest
import torch
from mmengine.config import Config

from s5_mm.apis import enable_amp, launch, load_config, set_resume
from s5_mm.launching import destroy_process_group


@pytest.fixture
def path(tmp_path):
    file = tmp_path / 'small.py'
    file.write_text("model = dict(depth=3)\noptim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))\n")
    return str(file)


class TestLoadConfig:

    def test_options_and_launcher(self, path):
        cfg = load_config(path, cfg_options={'model.depth': 4, 'optim_wrapper.optimizer.lr': 1.0}, launcher='pytorch')
        assert (cfg.model.depth, cfg.optim_wrapper.optimizer.lr, cfg.launcher) == (4, 1.0, 'pytorch')

    def test_work_dir(self, path, tmp_path):
        assert load_config(path).work_dir == 'work_dirs/small'
        assert load_config(path, work_dir='here').work_dir == 'here'
        own = tmp_path / 'own.py'
        own.write_text("work_dir = 'mine'")
        assert load_config(str(own)).work_dir == 'mine'
        assert load_config(str(own), work_dir='here').work_dir == 'here'

    def test_missing_config(self):
        with pytest.raises(FileNotFoundError, match='Config no/such.py is not a file; those of this package lie'):
            load_config('no/such.py')


class TestSetResume:

    @pytest.fixture
    def cfg(self, tmp_path):
        return Config(dict(work_dir=str(tmp_path), load_from='start.pth'))

    def test_the_newest(self, cfg, tmp_path):
        torch.save(dict(state_dict={}, meta=dict(epoch=0, iter=3), message_hub={}), tmp_path / 'iter_3.pth')
        set_resume(cfg)
        assert (cfg.resume, cfg.load_from) == (True, str(tmp_path / 'iter_3.pth'))

    def test_a_given_one(self, cfg, tmp_path):
        (tmp_path / 'last_checkpoint').write_text('run/iter_3.pth')
        set_resume(cfg, 'iter_2.pth')
        assert (cfg.resume, cfg.load_from) == (True, 'iter_2.pth')

    def test_without_any_training_starts_as_the_config_says(self, cfg, monkeypatch):
        said = []
        monkeypatch.setattr(launch, 'print_log', lambda text, logger: said.append(text))
        set_resume(cfg)
        assert (cfg.resume, cfg.load_from) == (False, 'start.pth')
        cfg.load_from = None
        set_resume(cfg)
        assert not cfg.resume
        assert said == [f'There is no checkpoint in {cfg.work_dir} yet; training starts from {start}.' for start in (
            'the weights of start.pth', 'the initial weights of the model')]


class TestLeaveGroup:

    def test_several_processes_leave_their_group_at_exit(self, path, monkeypatch):
        registered = []
        monkeypatch.setattr(launch.atexit, 'register', registered.append)
        load_config(path)
        assert registered == []
        load_config(path, launcher='pytorch')
        assert registered == [destroy_process_group]

    def test_a_group_ends(self):
        torch.distributed.init_process_group('gloo', store=torch.distributed.HashStore(), rank=0, world_size=1)
        destroy_process_group()
        assert not torch.distributed.is_initialized()
        destroy_process_group()


class TestEnableAmp:

    @pytest.mark.parametrize('wrapper', [{}, dict(type='OptimWrapper')])
    def test_plain_wrapper_is_replaced(self, wrapper):
        settings = dict(optimizer=dict(type='SGD', lr=0.1), clip_grad=dict(max_norm=1))
        cfg = Config(dict(optim_wrapper=wrapper | settings))
        enable_amp(cfg)
        assert cfg.optim_wrapper.to_dict() == dict(type='s5_mm.Bf16OptimWrapper', **settings)

    @pytest.mark.parametrize('kind', ['AmpOptimWrapper', 's5_mm.Bf16OptimWrapper'])
    def test_choice_of_the_config_stays(self, kind):
        cfg = Config(dict(optim_wrapper=dict(type=kind, dtype='float16')))
        enable_amp(cfg)
        assert cfg.optim_wrapper.to_dict() == dict(type=kind, dtype='float16')

    def test_unknown_wrapper(self):
        with pytest.raises(ValueError, match="cannot replace optim_wrapper.type='ApexOptimWrapper'; it takes Opt"):
            enable_amp(Config(dict(optim_wrapper=dict(type='ApexOptimWrapper'))))
