"""Opening weight files: what is read, and what is refused without running anything."""
import argparse
import functools
import http.server
import pickle
import subprocess
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.fileio import get
from mmengine.logging import HistoryBuffer
from safetensors.torch import save_file

from s5_mm.checkpoints import read_checkpoint, reading

WEIGHTS = {'a.weight': torch.arange(6.0).reshape(2, 3), 'a.bias': torch.tensor([1.0])}


class Payload:
    """Unpickling this creates a file: harmless, but whoever can do that can do anything."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, 'w')


class Reach:
    """Pickled as ``getattr(*target)``."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return getattr, self.target


def same(weights):
    return weights.keys() == WEIGHTS.keys() and all(torch.equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)


@pytest.mark.parametrize('key', ['model', 'state_dict', 'teacher'])
def test_pth(tmp_path, key):
    torch.save({key: WEIGHTS, 'epoch': 3}, tmp_path / 'x.pth')
    content = read_checkpoint(str(tmp_path / 'x.pth'))
    assert same(content['state_dict'])
    assert content['epoch'] == 3


def test_state_dict_is_preferred_to_model(tmp_path):
    torch.save({'state_dict': WEIGHTS, 'model': {}}, tmp_path / 'x.pth')
    assert same(read_checkpoint(str(tmp_path / 'x.pth'))['state_dict'])


def test_bare_weights(tmp_path):
    torch.save({**WEIGHTS, 'epoch': 3}, tmp_path / 'x.pt')
    content = read_checkpoint(str(tmp_path / 'x.pt'))
    assert same(content['state_dict'])
    assert content['epoch'] == 3


def test_safetensors(tmp_path):
    save_file(WEIGHTS, tmp_path / 'x.safetensors')
    assert same(read_checkpoint(str(tmp_path / 'x.safetensors'))['state_dict'])


def test_map_location(tmp_path):
    torch.save({'state_dict': WEIGHTS}, tmp_path / 'x.pth')
    content = read_checkpoint(str(tmp_path / 'x.pth'), map_location='meta')
    assert content['state_dict']['a.weight'].is_meta


def test_safetensors_tell_their_origin(tmp_path):
    save_file(WEIGHTS, tmp_path / 'x.safetensors', metadata=dict(layout='S4P encoder'))
    assert read_checkpoint(str(tmp_path / 'x.safetensors'))['meta'] == dict(layout='S4P encoder')


@pytest.mark.parametrize('save', [torch.save, save_file])
@pytest.mark.parametrize('name', ['x', 'x.pyth', 'x.pth.tar', 'x.pth', 'x.safetensors', 'x.zip'])
def test_content_says_what_a_file_is(tmp_path, save, name):
    save(WEIGHTS, tmp_path / name)
    assert same(read_checkpoint(str(tmp_path / name))['state_dict'])


def test_config_of_old_checkpoints_is_left_out(tmp_path):
    """MMEngine would run it when training is resumed."""
    torch.save({'state_dict': WEIGHTS, 'meta': {'config': 'import os', 'iter': 3}}, tmp_path / 'x.pth')
    assert read_checkpoint(str(tmp_path / 'x.pth'))['meta'] == {'iter': 3}


def test_import_changes_nothing_in_mmengine():
    code = (
        'from mmengine.runner import CheckpointLoader, checkpoint\n'
        'names = ("_safe_torch_load", "load_url", "load_state_dict", "load_checkpoint")\n'
        'before = [getattr(checkpoint, name) for name in names], dict(CheckpointLoader._schemes)\n'
        'import s5_mm\n'
        'assert before == ([getattr(checkpoint, name) for name in names], dict(CheckpointLoader._schemes))\n')
    subprocess.run([sys.executable, '-c', code], check=True, capture_output=True)


class TestAddresses:

    @pytest.mark.parametrize('save', [torch.save, save_file])
    def test_http_is_cached(self, tmp_path, served, save):
        save({'model': WEIGHTS} if save is torch.save else WEIGHTS, tmp_path / 'x.pth')
        assert same(read_checkpoint(f'{served}/x.pth')['state_dict'])
        (tmp_path / 'x.pth').unlink()
        assert same(read_checkpoint(f'{served}/x.pth')['state_dict'])

    @pytest.mark.parametrize('save', [torch.save, save_file])
    def test_file_backend(self, tmp_path, memory, save):
        save(WEIGHTS, tmp_path / 'x')
        assert same(read_checkpoint(f'memory://{tmp_path}/x')['state_dict'])
        with pytest.raises(ValueError, match="no://x: MMEngine has no file backend for 'no'; give a path"):
            read_checkpoint('no://x')

    @pytest.mark.parametrize('scheme', ['torchvision', 'open-mmlab', 'mmcls'])
    def test_tables(self, tmp_path, served, monkeypatch, scheme):
        torch.save(WEIGHTS, tmp_path / 'net.pth')
        monkeypatch.setitem(reading.TABLES, scheme, lambda: {'net50': f'{served}/net.pth'})
        assert same(read_checkpoint(f'{scheme}://net50')['state_dict'])
        with pytest.raises(ValueError, match=f"{scheme} has no model 'net5'; it has net50 and others"):
            read_checkpoint(f'{scheme}://net5')

    def test_tables_are_mmengines(self):
        address = reading._address
        assert address('torchvision://resnet50').startswith('https://download.pytorch.org/models/resnet50')
        assert address('open-mmlab://resnet50_v1c').startswith('https://')
        assert address('open-mmlab://resnet50_v1c') == address('openmmlab://resnet50_v1c')
        assert address('open-mmlab://resnet50_caffe') == address('open-mmlab://detectron/resnet50_caffe')
        assert address('mmcls://vgg11').startswith('https://')
        assert address('x/y.pth') == 'x/y.pth'

    def test_not_there(self, served):
        with pytest.raises(OSError, match='404'):
            read_checkpoint(f'{served}/none.pth')


@pytest.mark.parametrize('legacy', [False, True])
def test_mapped(tmp_path, legacy):
    """Files of PyTorch below 1.6 cannot be mapped and are read."""
    torch.save({'model': WEIGHTS}, tmp_path / 'x.pth', _use_new_zipfile_serialization=not legacy)
    weights = read_checkpoint(str(tmp_path / 'x.pth'), mmap=True)['state_dict']
    assert same(weights)
    weights['a.weight'][:] = 0  # is not written back
    assert same(read_checkpoint(str(tmp_path / 'x.pth'))['state_dict'])


def test_command_line_of_mae_training(tmp_path):
    torch.save({'model': WEIGHTS, 'args': argparse.Namespace(lr=1e-3)}, tmp_path / 'x.pth')
    assert read_checkpoint(str(tmp_path / 'x.pth'))['args'].lr == 1e-3


def test_what_runners_save_beside_weights(tmp_path):
    history = HistoryBuffer([0.5, 0.25], [1, 1])
    state = {'state_dict': WEIGHTS, 'message_hub': {'log_scalars': {'train/loss': history}},
             'meta': {'seed': np.int64(3), 'iter': 4}, 'numpy': np.arange(3, dtype=np.float32)}
    torch.save(state, tmp_path / 'iter_4.pth')
    content = read_checkpoint(str(tmp_path / 'iter_4.pth'))
    assert content['message_hub']['log_scalars']['train/loss'].current() == 0.25
    assert content['meta']['seed'] == 3
    assert content['numpy'].tolist() == [0, 1, 2]


@pytest.fixture
def memory(monkeypatch):
    """A file backend of MMEngine for ``memory://PATH``."""
    def read(path):
        return Path(path.removeprefix('memory://')).read_bytes() if path.startswith('memory://') else get(path)
    monkeypatch.setattr(reading, 'get', read)


@pytest.fixture
def served(tmp_path, monkeypatch):
    """The address of a server of the folder; downloads go to a cache of their own."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, 'log_message', lambda *_: None)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


class TestRefusal:

    @pytest.mark.parametrize('save', [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x, 2))],
                             ids=['zip', 'bare pickle'])
    def test_nothing_runs(self, tmp_path, save):
        save({'state_dict': {}, 'x': Payload(tmp_path / 'created')}, tmp_path / 'x.pth')
        with pytest.raises(ValueError, match=r'x.pth is refused: it holds more than weights \(\w*\.?open\), and'):
            read_checkpoint(str(tmp_path / 'x.pth'))
        assert not (tmp_path / 'created').exists()

    @pytest.mark.parametrize('scheme', ['http', 'memory'])
    def test_nothing_runs_from_an_address(self, tmp_path, served, memory, scheme):
        torch.save({'x': Payload(tmp_path / 'created')}, tmp_path / 'x.pth')
        address = f'{served}/x.pth' if scheme == 'http' else f'memory://{tmp_path}/x.pth'
        with pytest.raises(ValueError, match='x.pth is refused: it holds more than weights'):
            read_checkpoint(address)
        assert not (tmp_path / 'created').exists()

    def test_payload_would_have_worked(self, tmp_path):
        pickle.loads(pickle.dumps(Payload(tmp_path / 'created'))).close()  # noqa: S301  the test above rests on it
        assert (tmp_path / 'created').exists()

    @pytest.mark.parametrize('protocol', [3, 4, 5])
    def test_plain_pickle(self, tmp_path, protocol):
        (tmp_path / 'x.pth').write_bytes(pickle.dumps({'x': Payload(tmp_path / 'created')}, protocol))
        with pytest.raises(ValueError, match=r'x.pth is refused: it (is a Python pickle|holds more than weights)'):
            read_checkpoint(str(tmp_path / 'x.pth'))
        assert not (tmp_path / 'created').exists()

    @pytest.mark.parametrize('target', [('text', 'upper'), (HistoryBuffer, '__init__'), (HistoryBuffer, '__class__')])
    def test_getattr_reaches_nothing_but_statistics(self, tmp_path, target):
        torch.save({'x': Reach(target)}, tmp_path / 'x.pth')
        with pytest.raises(ValueError, match=r'is refused: it holds more than weights \(getattr\('):
            read_checkpoint(str(tmp_path / 'x.pth'))

    def test_allowance_ends_with_the_call(self, tmp_path):
        torch.save({'x': HistoryBuffer()}, tmp_path / 'x.pth')
        read_checkpoint(str(tmp_path / 'x.pth'))
        with pytest.raises(pickle.UnpicklingError):
            torch.load(tmp_path / 'x.pth', weights_only=True)


class TestErrors:

    @pytest.mark.parametrize('name', ['none.pth', 'none.safetensors'])
    def test_missing(self, tmp_path, name):
        with pytest.raises(FileNotFoundError, match='is not a file; check the path'):
            read_checkpoint(str(tmp_path / name))

    def test_directory(self, tmp_path):
        with pytest.raises(FileNotFoundError, match='is a directory; check the path'):
            read_checkpoint(str(tmp_path))

    @pytest.mark.parametrize('name', ['x.pth', 'x.safetensors'])
    def test_empty(self, tmp_path, name):
        (tmp_path / name).touch()
        with pytest.raises(ValueError, match=f'{name} is empty; get it anew'):
            read_checkpoint(str(tmp_path / name))

    @pytest.mark.parametrize('error', [FileNotFoundError, ValueError])
    def test_messages_are_of_one_line(self, tmp_path, error):
        (tmp_path / 'x.pth').write_bytes(b'PK' + bytes(300))
        with pytest.raises(error) as caught:
            read_checkpoint(str(tmp_path / ('x.pth' if error is ValueError else 'none.pth')))
        assert '\n' not in str(caught.value)

    @pytest.mark.parametrize('keep', [20, 700])
    def test_truncated(self, tmp_path, keep):
        torch.save({'state_dict': {'w': torch.zeros(1000)}}, tmp_path / 'x.pth')
        whole = (tmp_path / 'x.pth').read_bytes()
        assert len(whole) > 1000
        (tmp_path / 'x.pth').write_bytes(whole[:keep])
        with pytest.raises(ValueError, match=r'x\.pth is damaged or no PyTorch file \(\w+: ?.*\); get it anew'):
            read_checkpoint(str(tmp_path / 'x.pth'))

    def test_truncated_safetensors(self, tmp_path):
        save_file(WEIGHTS, tmp_path / 'x.safetensors')
        (tmp_path / 'x.safetensors').write_bytes((tmp_path / 'x.safetensors').read_bytes()[:-4])
        with pytest.raises(ValueError, match=r'x\.safetensors is damaged or no safetensors file'):
            read_checkpoint(str(tmp_path / 'x.safetensors'))

    @pytest.mark.parametrize('text', ['<html>not found</html>', 'hello', '.', 'version https://git-lfs.github.com/spec'])
    def test_text_in_disguise(self, tmp_path, text):
        (tmp_path / 'x.pth').write_text(text)
        with pytest.raises(ValueError, match=r'x\.pth is damaged or no PyTorch file \(\w+: ?.*\); get it anew'):
            read_checkpoint(str(tmp_path / 'x.pth'))

    def test_no_dict(self, tmp_path):
        torch.save([torch.zeros(1)], tmp_path / 'x.pth')
        with pytest.raises(ValueError, match='holds a list, expected a dict of tensors'):
            read_checkpoint(str(tmp_path / 'x.pth'))


def test_configs_of_yacs_are_plain_data(tmp_path, monkeypatch):
    """Swin's, SimMIM's and GFM's training scripts save one; yacs need not be installed."""
    made = types.ModuleType('yacs.config')
    made.CfgNode = type('CfgNode', (dict, ), {'__module__': 'yacs.config'})
    node = made.CfgNode(TRAIN=made.CfgNode(LR=0.1))
    node.__dict__['__immutable__'] = True
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, 'yacs', types.ModuleType('yacs'))
        patch.setitem(sys.modules, 'yacs.config', made)
        torch.save({'model': WEIGHTS, 'config': node}, tmp_path / 'gfm.pth')
    content = read_checkpoint(str(tmp_path / 'gfm.pth'))
    assert content['config'] == {'TRAIN': {'LR': 0.1}}
    assert torch.equal(content['state_dict']['a.weight'], WEIGHTS['a.weight'])
