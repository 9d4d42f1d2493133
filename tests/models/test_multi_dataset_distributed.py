"""Training on two processes with gloo, without ``find_unused_parameters``."""
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_detectors import detector

SCRIPT = Path(__file__).with_name('two_processes.py')


def run(tmp_path, configs):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    environment = dict(os.environ, MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), OMP_NUM_THREADS='1',
                       PYTHONPATH=os.pathsep.join([str(SCRIPT.parents[1]), os.environ.get('PYTHONPATH', '')]))
    processes = [
        subprocess.Popen([sys.executable, str(SCRIPT), str(rank), json.dumps(configs), str(tmp_path / f'{rank}.pth')],
                         env=environment, stderr=subprocess.PIPE, text=True) for rank in range(2)]
    try:
        errors = [process.communicate(timeout=240)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], errors
    return [torch.load(tmp_path / f'{rank}.pth', weights_only=True) for rank in range(2)]


@pytest.fixture(scope='module')
def gradients(tmp_path_factory, multi_segmentor):
    """Of both models in each process; one pair of processes, since they take long to start."""
    return run(tmp_path_factory.mktemp('gradients'), dict(segmentor=multi_segmentor(), detector=detector()))


@pytest.mark.parametrize('kind', ['segmentor', 'detector'])
def test_gradients_are_the_means_also_of_a_data_set_that_one_process_lacks(gradients, kind):
    first, second = (process[kind] for process in gradients)
    for step in range(2):
        assert first['together'][step].keys() == second['together'][step].keys()
        for name, gradient in first['together'][step].items():
            mean = (first['alone'][step][name] + second['alone'][step][name]) / 2
            assert torch.allclose(gradient, mean, rtol=1e-3, atol=1e-5), (step, name)
            assert torch.equal(gradient, second['together'][step][name])
    own = [name for name in first['alone'][0] if '.experts.green.' in name or '.green.' in name]
    assert all(second['alone'][0][name].abs().max() == 0 for name in own)
    assert any(first['alone'][0][name].abs().max() > 0 for name in own)
