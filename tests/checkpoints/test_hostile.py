"""Code in a checkpoint runs nowhere, whatever door the file takes.

MMEngine runs the text in ``meta['config']`` when it resumes. It is plain text, which weights-only loading lets through.
"""
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from running import command, config_text, run_tool
from safetensors.torch import save_file
from toy_training import state_of, toy_config, train_toy

from s5_mm.checkpoints import read_checkpoint
from s5_mm.curation.model import load_scoring_model
from s5_mm.registry import MODELS


@pytest.fixture
def marker(tmp_path):
    """A file that exists once the code has run."""
    return tmp_path / 'code_ran'


@pytest.fixture
def code(marker):
    return f'open({str(marker)!r}, "w").close()\ngpu_ids = [0, 1, 2]\n'


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """The work dir of a toy training."""
    folder = tmp_path_factory.mktemp('trained')
    train_toy(folder, iters=4)
    return folder


@pytest.fixture(params=['pth', 'safetensors'])
def plant(request, tmp_path, trained, code):
    """Write the checkpoint of the training, or other weights, with the code in every text of a known name."""
    def write(name, weights=None):
        content = read_checkpoint(str(trained / 'iter_4.pth'))
        content['state_dict'] = weights or content['state_dict']
        texts = dict.fromkeys(('config', 'cfg', 'hook_msgs', 'experiment_name'), code)
        path = tmp_path / f'{name}.{request.param}'
        if request.param == 'pth':
            content['meta'].update(texts)
            torch.save(content | dict(config=code, cfg=code), path)
        else:
            save_file({key: value.contiguous() for key, value in content['state_dict'].items()}, path,
                      metadata=dict(epoch='0', iter='4', format='pt') | texts)
        return path
    write.kind = request.param
    return write


@pytest.fixture
def config(tmp_path):
    """The file of the toy config."""
    path = tmp_path / 'toy.py'
    path.write_text(config_text(toy_config(tmp_path / 'run')))
    return path


@pytest.mark.parametrize('last', [False, True])
def test_resume(tmp_path, plant, config, marker, last):
    """By its name, or by ``last_checkpoint`` and the name of a regular one."""
    path = plant('iter_4')
    arguments = [path]
    if last:
        (tmp_path / 'run').mkdir()
        path = path.rename(tmp_path / 'run/iter_4.pth')
        (tmp_path / 'run/last_checkpoint').write_text(str(path))
        arguments = []
    if plant.kind == 'pth':
        run_tool('train', config, '--resume', *arguments)
        assert state_of(tmp_path / 'run')['iter_6.pth'][1] == 6
    else:
        with pytest.raises(ValueError, match='None of the checkpoints' if last else 'weights without the state of'):
            run_tool('train', config, '--resume', *arguments)
    assert not marker.exists()


def test_load_from_and_test(tmp_path, plant, config, marker):
    path = plant('weights')
    run_tool('train', config, '--cfg-options', f'load_from={path}')
    assert state_of(tmp_path / 'run')['iter_6.pth'][1] == 6
    run_tool('test', config, path)
    assert not marker.exists()


def test_convert_and_curate(tmp_path, plant, marker, tiny_segmentor):
    """And publishing, which reads as convert does."""
    model = tiny_segmentor()
    path = plant('segmentor', MODELS.build(model).state_dict())
    convert = command('tools/model_converters/convert.py')
    convert([str(path), str(tmp_path / 'out.safetensors'), '--to', 'published'])
    assert (tmp_path / 'out.safetensors').exists()
    Config(dict(default_scope='mmseg', model=model)).dump(tmp_path / 'scorer.py')
    cfg = Config.fromfile(tmp_path / 'scorer.py')
    load_scoring_model(cfg, str(path), background=0, renormalize=True)
    assert not marker.exists()


def test_the_code_would_have_run(tmp_path, trained, code, marker):
    """In a runner of MMEngine, which then compares the number of GPUs; the tests above rest on it."""
    content = read_checkpoint(str(trained / 'iter_4.pth'))
    content['meta']['config'] = code
    torch.save(content, tmp_path / 'iter_4.pth')
    cfg = toy_config(tmp_path / 'run', resume=True, load_from=str(tmp_path / 'iter_4.pth'))
    with pytest.raises(RuntimeError, match='Number of GPUs used for current experiment is not'):
        Runner.from_cfg(cfg).train()
    assert marker.exists()
