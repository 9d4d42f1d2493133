"""A training goes on from the newest checkpoint that can be read."""
import os

import pytest
import torch
from toy_training import state_of, train_toy

from s5_mm.checkpoints import newest_checkpoint, require_training_state, resuming


@pytest.fixture
def save(tmp_path):
    """Write checkpoints, one minute after the other; a folder ``run`` with 2, 4 and 10 and a pointer to 10 is there."""
    def write(name, **content):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        torch.save(dict(state_dict=dict(w=torch.arange(100.0)), meta=dict(epoch=0, iter=1), message_hub={}) | content,
                   path)
        write.time += 60
        os.utime(path, (write.time, write.time))
        return path
    write.time = 1e9
    for number in (2, 4, 10):
        write(f'run/iter_{number}.pth')
    (tmp_path / 'run/last_checkpoint').write_text('run/iter_10.pth')
    return write


@pytest.fixture
def told(monkeypatch):
    lines = []
    monkeypatch.setattr(resuming, 'print_log', lambda text, *_: lines.append(text))
    return lines


@pytest.mark.parametrize('pointer', [
    None, b'', b'\n', b'run/iter_10.pth', b'iter_10.pth', b'/elsewhere/run/iter_10.pth', b'run/iter_10.p', b'\0' * 50,
    b'/dev/zero', b'/', b'..', b'\xff\xfe' * 3000, b'x' * 300])
def test_pointer(tmp_path, save, pointer):
    """Whatever it says: of a moved folder, cut short, zeros after a crash, text of anyone."""
    path = tmp_path / 'run/last_checkpoint'
    if pointer is None:
        path.unlink()
    else:
        path.write_bytes(pointer)
    assert newest_checkpoint(tmp_path / 'run') == str(tmp_path / 'run/iter_10.pth')


def test_pointer_decides_among_runs(tmp_path, save):
    """A second run in the folder has come to 4 again; and a copy has files of any time."""
    save('run/iter_2.pth')
    save('run/iter_4.pth')
    (tmp_path / 'run/last_checkpoint').write_text('iter_4.pth')
    assert newest_checkpoint(tmp_path / 'run') == str(tmp_path / 'run/iter_4.pth')
    (tmp_path / 'run/last_checkpoint').unlink()
    assert newest_checkpoint(tmp_path / 'run') == str(tmp_path / 'run/iter_4.pth')
    (tmp_path / 'run/last_checkpoint').write_text('iter_10.pth')
    assert newest_checkpoint(tmp_path / 'run') == str(tmp_path / 'run/iter_10.pth')


def test_file_that_was_complete_before_the_pointer(tmp_path, save):
    path = save('run/iter_12.pth')
    assert newest_checkpoint(tmp_path / 'run') == str(path)


def test_pointer_to_another_folder(tmp_path, save):
    """As CheckpointHook's out_dir makes it."""
    path = save('out/iter_30.pth')
    (tmp_path / 'run/last_checkpoint').write_text(str(path))
    assert newest_checkpoint(tmp_path / 'run') == str(path)
    (tmp_path / 'run/last_checkpoint').write_text('s3://bucket/iter_30.pth')
    assert newest_checkpoint(tmp_path / 'run') == 's3://bucket/iter_30.pth'


def damage(path, kind):
    whole = path.read_bytes()
    middle = whole.index(torch.arange(100.0).numpy().tobytes())
    path.write_bytes(dict(empty=b'', short=whole[:-40], half=whole[:len(whole) // 2], page=b'<html>',
                          bits=whole[:middle + 40] + b'\1\2\3\4' + whole[middle + 44:])[kind])


@pytest.mark.parametrize('kind', ['empty', 'short', 'half', 'page', 'bits'])
def test_damaged_files_are_skipped_and_named(tmp_path, save, told, kind):
    damage(tmp_path / 'run/iter_10.pth', kind)
    assert newest_checkpoint(tmp_path / 'run') == str(tmp_path / 'run/iter_4.pth')
    assert len(told) == 1
    assert 'run/iter_10.pth is skipped: ' in told[0]
    for number in (2, 4):
        damage(tmp_path / f'run/iter_{number}.pth', 'short')
    with pytest.raises(ValueError, match=r'None of the checkpoints in .*run can be read \(iter_10.pth, iter_4.pth, '
                                         r'iter_2.pth\); move them away to start anew'):
        newest_checkpoint(tmp_path / 'run')


def test_other_files_are_not_candidates(tmp_path, save):
    for name in ('best_mIoU_iter_90.pth', 'vit_1600.pth', 'iter_99.pth.12-abcdef.part', 'epoch_x.pth'):
        save(f'run/{name}')
    assert newest_checkpoint(tmp_path / 'run') == str(tmp_path / 'run/iter_10.pth')
    assert newest_checkpoint(tmp_path / 'none') is None


@pytest.mark.parametrize('content', [
    dict(meta={}), dict(meta='x'), dict(meta=dict(epoch=0, iter='1')), dict(message_hub=None), dict(meta=None)])
def test_weights_alone_are_no_training(tmp_path, save, content):
    checkpoint = torch.load(save('x.pth', **content))
    with pytest.raises(ValueError, match='x.pth holds weights without the state of a training.* start .* load_from'):
        require_training_state(checkpoint, 'x.pth')


@pytest.mark.parametrize('how', ['setting', 'file'])
def test_runner_goes_on(tmp_path, how):
    """``resume=True`` in a config; MMEngine would follow the pointer into the void."""
    train_toy(tmp_path, iters=4, keep=2)
    (tmp_path / 'last_checkpoint').write_text('')
    (tmp_path / 'iter_4.pth').write_bytes(b'half')
    settings = {} if how == 'setting' else dict(load_from=str(tmp_path / 'iter_2.pth'))
    runner = train_toy(tmp_path, resume=True, keep=2, **settings)
    assert runner.iter == 6
    assert [*state_of(tmp_path)] == ['best_score_iter_6.pth', 'iter_4.pth', 'iter_6.pth', 'last_checkpoint']


def test_best_checkpoints_have_no_optimizer(tmp_path):
    train_toy(tmp_path, iters=4)
    train_toy(tmp_path, resume=True, load_from=str(tmp_path / 'best_score_iter_4.pth'))
    assert 'best_score_iter_4.pth holds no state of the optimizer' in ''.join(
        path.read_text() for path in tmp_path.glob('*/*.log'))
