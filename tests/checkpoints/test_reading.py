"""Opening weight files: what is read, and what is refused without running anything."""
import argparse
import io
import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, checkpoint
from mmengine.runner.checkpoint import _load_checkpoint
from safetensors.torch import save_file

from s5_mm.checkpoints import read_checkpoint

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
    torch.save(WEIGHTS, tmp_path / 'x.pt')
    assert same(read_checkpoint(str(tmp_path / 'x.pt')))


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


class TestRefusal:

    @pytest.mark.parametrize('save', [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x, 2))],
                             ids=['zip', 'bare pickle'])
    @pytest.mark.parametrize('load', [read_checkpoint, CheckpointLoader.load_checkpoint, _load_checkpoint])
    def test_nothing_runs(self, tmp_path, save, load):
        """Neither by our reader nor by what MMEngine uses for load_from, resume and init_cfg."""
        save({'state_dict': {}, 'x': Payload(tmp_path / 'created')}, tmp_path / 'x.pth')
        with pytest.raises(ValueError, match=r'x.pth is refused: it holds more than weights \(\w*\.?open\), and'):
            load(str(tmp_path / 'x.pth'))
        assert not (tmp_path / 'created').exists()

    def test_nothing_runs_from_an_address(self, tmp_path, monkeypatch):
        """What MMEngine's loaders download or get from a store."""
        torch.save({'x': Payload(tmp_path / 'created')}, tmp_path / 'x.pth')
        monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
        with pytest.raises(pickle.UnpicklingError, match='Weights only load failed'):
            CheckpointLoader._schemes['https://']((tmp_path / 'x.pth').as_uri())
        with pytest.raises(ValueError, match='is refused: it holds more than weights'):
            checkpoint._safe_torch_load(io.BytesIO((tmp_path / 'x.pth').read_bytes()))
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

    @pytest.mark.parametrize(('name', 'told'), [('x.zip', "'.zip'"), ('x', "'nothing'"), ('x.pth.part', "'.part'")])
    def test_suffix(self, tmp_path, name, told):
        torch.save(WEIGHTS, tmp_path / name)
        with pytest.raises(ValueError, match=f'{name} ends in {told}; files of weights end in .pth, .pt, .bin, .ckpt'):
            read_checkpoint(str(tmp_path / name))

    @pytest.mark.parametrize('name', ['x.pth', 'x.safetensors'])
    def test_empty(self, tmp_path, name):
        (tmp_path / name).touch()
        with pytest.raises(ValueError, match=f'{name} is empty; get it anew'):
            read_checkpoint(str(tmp_path / name))

    def test_safetensors_by_another_name(self, tmp_path):
        save_file(WEIGHTS, tmp_path / 'x.pth')
        with pytest.raises(ValueError, match=r'x\.pth is damaged or no PyTorch file'):
            read_checkpoint(str(tmp_path / 'x.pth'))

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
