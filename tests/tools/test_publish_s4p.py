"""The command that publishes encoders."""
import pytest
import torch

from s5_mm.registry import MODELS


@pytest.fixture
def checkpoint(tmp_path, tiny_segmentor):
    model = MODELS.build(dict(type='s5_mm.FixMatchSegmentor', segmentor=tiny_segmentor(), teacher={}))
    model.teacher.steps.fill_(3)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(iter=3)), tmp_path / 'iter_3.pth')
    return model, str(tmp_path / 'iter_3.pth')


def test_command(load_tool, checkpoint, tmp_path, capsys):
    model, path = checkpoint
    out = str(tmp_path / 'new' / 'encoder.safetensors')
    load_tool('tools/model_converters/publish_s4p.py').main([path, out])
    printed = capsys.readouterr().out
    numbers = sum(value.numel() for value in model.segmentor.backbone.state_dict().values())
    assert f'{out}: encoder of the teacher, {len(model.segmentor.backbone.state_dict())} tensors' in printed
    assert f'{numbers / 1e6:.1f} M' in printed
    assert f"init_cfg=dict(type='Pretrained', checkpoint='{out}')" in printed


def test_options(load_tool, checkpoint, tmp_path):
    main = load_tool('tools/model_converters/publish_s4p.py').main
    out = str(tmp_path / 'encoder.pth')
    main([checkpoint[1], out])
    with pytest.raises(FileExistsError, match='--force'):
        main([checkpoint[1], out])
    main([checkpoint[1], out, '--part', 'student', '--force'])
    assert torch.load(out, weights_only=True)['meta']['part'] == 'student'


def test_unknown_part(load_tool, capsys):
    with pytest.raises(SystemExit):
        load_tool('tools/model_converters/publish_s4p.py').main(['a.pth', 'b.pth', '--part', 'ema'])
    assert "invalid choice: 'ema'" in capsys.readouterr().err
