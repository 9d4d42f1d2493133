"""Processes that start together, wait for each other, and end."""
import os
import signal
import time
from datetime import timedelta

import pytest
import torch
from mmengine.config import Config

from s5_mm import launching
from s5_mm.launching import end_process, naming_lost_processes, prepare_for_cpu


class TestPrepareForCpu:

    @pytest.fixture
    def started(self, monkeypatch):
        backends = []
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
        monkeypatch.setattr(torch.distributed, 'init_process_group',
                            lambda backend, timeout: backends.append((backend, timeout.total_seconds())))
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
        assert started == [('gloo', 1800)]
        assert [head.norm_cfg.type for head in (*network.decode_head, network.auxiliary_head)] == ['BN'] * 3
        assert network.backbone.norm_cfg.type == 'LN'
        assert network.auxiliary_head.norm_cfg.requires_grad is True
        assert cfg.model_wrapper_cfg.type == 'MMDistributedDataParallel'

    def test_patience_of_the_config(self, started):
        cfg = self.config('pytorch')
        cfg.env_cfg = dict(dist_cfg=dict(backend='nccl', timeout=5))
        prepare_for_cpu(cfg)
        assert started == [('gloo', 5)]

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


class TestLostProcesses:

    @staticmethod
    def reduce(rank, path, at_start):
        """A process of two; ``at_start`` is what the second one does in the place of answering."""
        store = torch.distributed.FileStore(str(path), 2)
        torch.distributed.init_process_group('gloo', store=store, rank=rank, world_size=2,
                                             timeout=timedelta(seconds=1))
        torch.distributed.barrier()
        if rank == 1:
            at_start()
        with naming_lost_processes():
            torch.distributed.all_reduce(torch.ones(1))

    @pytest.mark.parametrize('signal_number', [signal.SIGKILL, signal.SIGSTOP])
    def test_a_process_that_was_killed_or_hangs_ends_the_other_with_a_sentence(self, tmp_path, signal_number):
        second = os.fork()
        if not second:
            self.reduce(1, tmp_path / 'store', lambda: os.kill(os.getpid(), signal_number))
        first = os.fork()
        if not first:
            try:
                self.reduce(0, tmp_path / 'store', None)
            except SystemExit as error:
                (tmp_path / 'said').write_text(str(error))
            os._exit(0)
        start = time.monotonic()
        os.waitpid(first, 0)
        os.kill(second, signal.SIGKILL)
        os.waitpid(second, 0)
        assert time.monotonic() - start < 30
        assert (tmp_path / 'said').read_text().startswith(
            'Process 0 of 2 (counted from 0) stops: another process has ended, or did not answer within '
            'env_cfg.dist_cfg.timeout seconds; the output of that process says why. (')

    def test_other_errors_pass(self):
        with pytest.raises(RuntimeError, match='size mismatch'), naming_lost_processes():
            raise RuntimeError('size mismatch')


class TestEndProcess:

    def test_one_of_several_ends_without_the_shutdown_of_python(self, monkeypatch):
        said = []
        monkeypatch.setattr(launching.os, '_exit', said.append)
        end_process()
        assert said == []
        torch.distributed.init_process_group('gloo', store=torch.distributed.HashStore(), rank=0, world_size=1)
        end_process()
        assert said == [0]
        assert not torch.distributed.is_initialized()
