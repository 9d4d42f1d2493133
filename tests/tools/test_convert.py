"""The command that converts weights: what it says of files that cannot be."""
import pickle

import pytest
import torch


class Payload:
    """Unpickling this creates a file: harmless, but whoever can do that can do anything."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, 'w')


@pytest.fixture
def refused(load_tool, tmp_path):
    """What the command says when it ends with an error and has written nothing."""
    def run(name, *options):
        with pytest.raises(SystemExit) as ended:
            load_tool('tools/model_converters/convert.py').main(
                [str(tmp_path / name), str(tmp_path / 'out.pth'), '--to', 's5_mm', *options])
        assert not (tmp_path / 'out.pth').exists()
        assert '\n' not in str(ended.value)
        return str(ended.value)
    return run


@pytest.mark.parametrize('save', [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x))], ids=['zip', 'pickle'])
def test_pickle_that_would_run_code(refused, tmp_path, save):
    save({'model': {'w': torch.zeros(1)}, 'x': Payload(tmp_path / 'created')}, tmp_path / 'evil.pth')
    told = refused('evil.pth')
    assert 'evil.pth is refused: it ' in told
    assert 'loading it could run code' in told
    assert not (tmp_path / 'created').exists()


def test_damaged_files(refused, tmp_path):
    torch.save({'model': {'w': torch.zeros(1000)}}, tmp_path / 'whole.pth')
    (tmp_path / 'half.pth').write_bytes((tmp_path / 'whole.pth').read_bytes()[:2000])
    (tmp_path / 'empty.safetensors').touch()
    (tmp_path / 'folder.pth').mkdir()
    (tmp_path / 'weights.txt').write_text('w')
    assert 'half.pth is damaged or no PyTorch file' in refused('half.pth')
    assert 'empty.safetensors is empty; get it anew' in refused('empty.safetensors')
    assert 'folder.pth is a directory' in refused('folder.pth')
    assert 'none.pth is not a file' in refused('none.pth')
    assert 'weights.txt is damaged or no PyTorch file' in refused('weights.txt')
    assert 'whole.pth holds no encoder in a known format' in refused('whole.pth')


def test_target_must_be_told(load_tool, capsys):
    with pytest.raises(SystemExit):
        load_tool('tools/model_converters/convert.py').main(['a.pth', 'b.pth'])
    assert 'the following arguments are required: --to' in capsys.readouterr().err
