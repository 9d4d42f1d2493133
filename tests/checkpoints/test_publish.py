"""Cutting encoders out of training checkpoints."""
import pytest
import torch
from mmengine.config import ConfigDict
from safetensors import safe_open

from s5_mm.checkpoints import load_weights, read_checkpoint
from s5_mm.checkpoints.publish import publish_encoder, select_encoder
from s5_mm.registry import MODELS


def randomized(cfg, seed=0):
    torch.manual_seed(seed)
    model = MODELS.build(ConfigDict(cfg))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.1)
    return model


@pytest.fixture
def fixmatch(tiny_segmentor):
    def make(updates=None):
        teacher = None if updates is None else {}
        model = randomized(dict(type='s5_mm.FixMatchSegmentor', segmentor=tiny_segmentor(), teacher=teacher))
        if updates is not None:
            model.teacher.steps.fill_(updates)
        return model
    return make


@pytest.fixture
def saved(tmp_path):
    def save(model):
        torch.save(dict(meta=dict(iter=40), state_dict=model.state_dict()), tmp_path / 'iter_40.pth')
        return str(tmp_path / 'iter_40.pth')
    return save


def features(vit):
    vit.eval()
    torch.manual_seed(5)
    with torch.no_grad():
        return vit(torch.randn(2, 3, 32, 32))


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('kind', ['teacher', 'student', 'supervised'])
def test_next_stage_computes_the_same(tmp_path, tiny_vit, tiny_segmentor, fixmatch, saved, kind, suffix):
    model = randomized(tiny_segmentor()) if kind == 'supervised' else fixmatch(5 if kind == 'teacher' else None)
    source = dict(teacher=lambda: model.teacher.module.backbone, student=lambda: model.segmentor.backbone,
                  supervised=lambda: model.backbone)[kind]()
    out = str(tmp_path / f'encoder{suffix}')
    part, weights = publish_encoder(saved(model), out)
    assert part == ('teacher' if kind == 'teacher' else 'student')
    assert weights.keys() == source.state_dict().keys()

    torch.manual_seed(9)
    fresh = MODELS.build(tiny_vit(init_cfg=dict(type='s5_mm.LoadWeights', checkpoint=out)))
    fresh.init_weights()
    assert all(torch.equal(a, b) for a, b in zip(features(fresh), features(source), strict=True))


def test_pth_holds_nothing_but_weights_and_origin(tmp_path, fixmatch, saved):
    out = tmp_path / 'encoder.pth'
    publish_encoder(saved(fixmatch(5)), str(out))
    content = torch.load(out, weights_only=True)
    assert content.keys() == {'state_dict', 'meta'}
    assert content['meta'].items() >= dict(source='iter_40.pth', part='teacher', iter=40).items()


def test_safetensors_tells_its_origin(tmp_path, fixmatch, saved):
    out = tmp_path / 'encoder.safetensors'
    publish_encoder(saved(fixmatch(5)), str(out), part='student')
    with safe_open(out, framework='pt') as file:
        assert file.metadata().items() >= dict(source='iter_40.pth', part='student', iter='40').items()


def test_parts(fixmatch):
    model = fixmatch(5)
    weights = model.state_dict()
    for part, network in (('teacher', model.teacher.module), ('student', model.segmentor)):
        name, chosen = select_encoder(weights, 'x.pth', part)
        assert name == part
        assert torch.equal(chosen['pos_embed'], network.backbone.pos_embed)
    assert select_encoder(weights, 'x.pth')[0] == 'teacher'


def test_teacher_without_an_update_is_not_published(fixmatch):
    weights = fixmatch(0).state_dict()
    assert select_encoder(weights, 'x.pth')[0] == 'student'
    with pytest.raises(ValueError, match='x.pth holds no teacher that was updated; take .* part student'):
        select_encoder(weights, 'x.pth', 'teacher')


def test_half_precision_becomes_fp32_and_integers_stay():
    _, weights = select_encoder({'backbone.a': torch.ones(2).half(), 'backbone.n': torch.tensor(3)}, 'x.pth')
    assert (weights['a'].dtype, weights['n'].dtype) == (torch.float32, torch.int64)


def test_weights_do_not_drag_their_storage_along(tmp_path):
    """A view of a big tensor would be saved whole."""
    torch.save({'state_dict': {'backbone.a': torch.zeros(10**6)[:2], 'head.b': torch.zeros(10**6)}}, tmp_path / 'x.pth')
    publish_encoder(str(tmp_path / 'x.pth'), str(tmp_path / 'out.pth'))
    assert (tmp_path / 'out.pth').stat().st_size < 10**4


def test_both_files_can_be_read_by_the_same_people(tmp_path, fixmatch, saved):
    for suffix in ('.pth', '.safetensors'):
        publish_encoder(saved(fixmatch()), str(tmp_path / f'encoder{suffix}'))
    modes = {(tmp_path / name).stat().st_mode for name in ('iter_40.pth', 'encoder.pth', 'encoder.safetensors')}
    assert len(modes) == 1


class TestErrors:

    def test_suffix(self, tmp_path, fixmatch, saved):
        for name, told in (('encoder.bin', "'.bin'"), ('encoder', "'nothing'")):
            with pytest.raises(ValueError, match=f'{name} ends in {told}; choose one of .pth, .safetensors'):
                publish_encoder(saved(fixmatch()), str(tmp_path / name))

    def test_existing_file_is_kept_unless_forced(self, tmp_path, fixmatch, saved):
        out = tmp_path / 'encoder.pth'
        out.write_text('precious')
        with pytest.raises(FileExistsError, match='encoder.pth exists; choose another name or .* --force'):
            publish_encoder(saved(fixmatch()), str(out))
        assert out.read_text() == 'precious'
        publish_encoder(saved(fixmatch()), str(out), force=True)
        assert read_checkpoint(str(out))['meta']['iter'] == 40

    def test_failed_writing_leaves_the_old_file(self, tmp_path, fixmatch, saved, monkeypatch):
        out = tmp_path / 'encoder.pth'
        out.write_text('precious')
        checkpoint = saved(fixmatch())

        def full(content, file):
            file.write(b'half')
            raise OSError('No space left on device')
        monkeypatch.setattr(torch, 'save', full)
        with pytest.raises(OSError, match='No space left'):
            publish_encoder(checkpoint, str(out), force=True)
        assert out.read_text() == 'precious'

    def test_missing_checkpoint(self, tmp_path):
        with pytest.raises(FileNotFoundError, match='Checkpoint none.pth is not a file'):
            publish_encoder('none.pth', str(tmp_path / 'x.pth'))
        assert not list(tmp_path.iterdir())

    def test_no_encoder(self):
        with pytest.raises(ValueError, match=r'x.pth holds no student encoder: none of its names begins with '
                           r"segmentor.backbone. or backbone., they begin with \['a', 'b'\]"):
            select_encoder({'a': torch.zeros(1), 'b': torch.zeros(1)}, 'x.pth')

    def test_no_teacher(self, fixmatch):
        with pytest.raises(ValueError, match='holds no teacher'):
            select_encoder(fixmatch().state_dict(), 'x.pth', 'teacher')

    def test_unknown_part(self):
        with pytest.raises(ValueError, match="part is 'ema'; choose one of auto, teacher, student"):
            select_encoder({}, 'x.pth', 'ema')

    def test_training_checkpoint_itself(self, tiny_vit, fixmatch, saved):
        """The next stage can start from it, too, from either network."""
        model, vit = fixmatch(5), MODELS.build(tiny_vit())
        for part, network in (('auto', model.teacher.module), ('student', model.segmentor)):
            load_weights(vit, saved(model), part=part)
            assert torch.equal(vit.pos_embed, network.backbone.pos_embed)
