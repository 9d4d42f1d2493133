"""Processes that start together."""
import pytest
import torch
from mmengine.config import Config

from s5_mm.launching import prepare_for_cpu


class TestPrepareForCpu:

    @pytest.fixture
    def started(self, monkeypatch):
        backends = []
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
        monkeypatch.setattr(torch.distributed, 'init_process_group', backends.append)
        return backends

    @staticmethod
    def config(launcher):
        norm = dict(type='SyncBN', requires_grad=True)
        return Config(dict(
            launcher=launcher,
            model=dict(segmentor=dict(
                backbone=dict(norm_cfg=dict(type='LN')),
                decode_head=[dict(norm_cfg=norm), dict(norm_cfg=norm)], auxiliary_head=dict(norm_cfg=norm)))))

    def test_several_processes(self, started):
        cfg = self.config('pytorch')
        prepare_for_cpu(cfg)
        network = cfg.model.segmentor
        assert started == ['gloo']
        assert [head.norm_cfg.type for head in (*network.decode_head, network.auxiliary_head)] == ['BN'] * 3
        assert network.backbone.norm_cfg.type == 'LN'
        assert network.auxiliary_head.norm_cfg.requires_grad is True
        assert cfg.model_wrapper_cfg.type == 'MMDistributedDataParallel'

    def test_one_process_is_left_alone(self, started):
        cfg = self.config('none')
        prepare_for_cpu(cfg)
        assert started == []
        assert cfg.to_dict() == self.config('none').to_dict()

    def test_gpus_are_left_alone(self, started, monkeypatch):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
        cfg = self.config('pytorch')
        prepare_for_cpu(cfg)
        assert started == []
        assert cfg.to_dict() == self.config('pytorch').to_dict()

    @pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
    def test_launchers_that_need_gpus(self, started, launcher):
        with pytest.raises(ValueError, match=f'--launcher {launcher} needs GPUs and none is found; on CPUs use'):
            prepare_for_cpu(self.config(launcher))
