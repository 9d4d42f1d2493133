"""Converting files: names of each kind, there and back again, values, and what is refused."""
import pytest
import torch
from mmrotate.datasets import DOTAv2Dataset
from published_files import published_files
from safetensors.torch import load_file

from s5_mm.checkpoints import load_weights, read_checkpoint
from s5_mm.checkpoints.adapters import UNUSED, find_adapter, inverse, rename
from s5_mm.checkpoints.conversion import convert_checkpoint, to_ours, to_published
from s5_mm.checkpoints.formats import DOTA_OURS, PUBLISHED, MAEViT, MMPretrainViT, MMSegViT
from s5_mm.models import ViT
from s5_mm.registry import MODELS

KINDS = [adapter.name for adapter in PUBLISHED]


@pytest.fixture
def write(golden, golden_mdf, tmp_path):
    """A published file of a kind; its path and the weights as it holds them."""
    def make(kind, wrapper='', dtype=torch.float32):
        key, weights = published_files(golden, golden_mdf)[kind]
        weights = {wrapper + name: value.to(dtype) if value.is_floating_point() else value
                   for name, value in weights.items()}
        torch.save({key: weights, 'epoch': 3}, tmp_path / 'published.pth')
        return str(tmp_path / 'published.pth'), key, weights
    return make


@pytest.fixture
def command(load_tool):
    return load_tool('tools/model_converters/convert.py').main


def equal(ours, theirs):
    return (ours.keys() == theirs.keys() and all(
        ours[name].dtype == theirs[name].dtype and torch.equal(ours[name], theirs[name]) for name in ours))


class TestPublished:

    @pytest.mark.parametrize('kind', KINDS)
    def test_kind_is_told_by_names(self, golden, golden_mdf, kind):
        _, weights = published_files(golden, golden_mdf)[kind]
        for wrapper in ('', 'module.'):
            adapter, prefix = find_adapter({wrapper + name: value for name, value in weights.items()}, 'x.pth')
            assert adapter.name == kind
            assert prefix == wrapper + adapter.encoder

    @pytest.mark.parametrize(('wrapper', 'dtype', 'middle'), [
        ('', torch.float32, '.pth'), ('module.', torch.float16, '.safetensors')])
    @pytest.mark.parametrize('kind', KINDS)
    def test_there_and_back(self, write, command, tmp_path, kind, wrapper, dtype, middle):
        """The whole file, names, values and types, with what the published modules carry and nothing uses."""
        path, key, weights = write(kind, wrapper, dtype)
        command([path, str(tmp_path / f'ours{middle}'), '--to', 's5_mm'])
        command([str(tmp_path / f'ours{middle}'), str(tmp_path / 'back.pth'), '--to', 'published'])
        ours = read_checkpoint(str(tmp_path / f'ours{middle}'))['state_dict']
        assert {value.dtype for value in ours.values()} <= {torch.float32, torch.int64}
        back = torch.load(tmp_path / 'back.pth', weights_only=True)
        assert equal(back[key], weights)

    @pytest.mark.parametrize('kind', KINDS)
    def test_safetensors_there_and_back(self, write, tmp_path, kind):
        path, _, weights = write(kind)
        convert_checkpoint(path, str(tmp_path / 'ours.safetensors'), 's5_mm')
        convert_checkpoint(str(tmp_path / 'ours.safetensors'), str(tmp_path / 'back.safetensors'), 'published')
        assert equal(load_file(tmp_path / 'back.safetensors'), weights)

    def test_what_is_printed(self, write, command, tmp_path, capsys):
        command([write('published MoE-MDF detector')[0], str(tmp_path / 'ours.pth'), '--to', 's5_mm'])
        printed = capsys.readouterr().out
        rows = {row.split('|')[1].strip(): row.split('|')[2].strip() for row in printed.splitlines()
                if row.startswith('|')}
        # Two regressors and one classifier, weights and biases; the class token.
        assert rows['of them with new values'] == '6'
        assert rows['kept aside, used by nothing'] == '1'
        assert rows['dropped'] == '0'
        assert f'{tmp_path}/ours.pth: published MoE-MDF detector, ' in printed

    def test_converted_s4p_segmentor_is_a_plain_one(self, write, golden, tmp_path):
        convert_checkpoint(write('published S4P segmentor', 'module.')[0], str(tmp_path / 'ours.pth'), 's5_mm')
        width = golden.arch['embed_dims']
        model = MODELS.build(dict(
            type='EncoderDecoder', backbone=dict(type='s5_mm.ViT', arch=golden.arch, img_size=golden.img_size),
            decode_head=dict(type='s5_mm.S5UPerHead', in_channels=[width] * 4, in_index=[0, 1, 2, 3], channels=256,
                             num_classes=16, norm_cfg=dict(type='BN')),
            test_cfg=dict(mode='whole')))
        report = load_weights(model, str(tmp_path / 'ours.pth'))
        assert set(report.dropped) == {
            f'{UNUSED}encoder.cls_token', *(f'{UNUSED}semsegdecoder.decode_head.conv_seg.{part}'
                                            for part in ('weight', 'bias'))}
        model.eval()
        with torch.no_grad():
            logits = model.encode_decode(golden.images, [dict(img_shape=(64, 64))])
        assert (logits[:, :, ::4, ::4] - torch.tensor(golden.arrays['s4p_logits'])).abs().max() < 1e-4

    @pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
    def test_converted_encoder_is_the_published_one(self, write, golden, tmp_path, suffix):
        convert_checkpoint(write('published S4P encoder')[0], str(tmp_path / f'ours{suffix}'), 's5_mm')
        vit = ViT(golden.arch, golden.img_size)
        load_weights(vit, str(tmp_path / f'ours{suffix}'))
        vit.eval()
        with torch.no_grad():
            maps = vit(golden.images)
        for level, values in enumerate(maps):
            assert (values - torch.tensor(golden.arrays[f's4p_feat{level}'])).abs().max() < 1e-4

    def test_converted_segmentor_of_several_data_sets(self, write, golden_mdf, tmp_path):
        """Without experts.order: the experts have names now."""
        convert_checkpoint(write('published MoE-MDF segmentor')[0], str(tmp_path / 'ours.pth'), 's5_mm')
        width = golden_mdf.arch['embed_dims']
        model = MODELS.build(dict(
            type='s5_mm.MultiDatasetSegmentor',
            backbone=dict(type='s5_mm.ViT', arch=golden_mdf.arch, img_size=golden_mdf.img_size),
            experts=dict(part_features=golden_mdf.part_features),
            decode_head=dict(type='s5_mm.S5UPerHead', in_channels=[width] * 4, in_index=[0, 1, 2, 3], channels=256,
                             norm_cfg=dict(type='BN')),
            datasets=dict(loveda=dict(num_classes=7), potsdam=dict(num_classes=5), openearthmap=dict(num_classes=9),
                          vaihingen=dict(num_classes=5))))
        load_weights(model, str(tmp_path / 'ours.pth'))
        model.eval()
        for name in model.datasets:
            with torch.no_grad():
                logits = model.encode_decode(golden_mdf.images, [dict(img_shape=(64, 64), dataset_name=name)] * 2)
            expected = torch.tensor(golden_mdf.arrays[f'mdf_{name}_logits'])
            assert (logits[:, :, ::4, ::4] - expected).abs().max() < 1e-4


class TestOurs:

    def test_trained_models_in_the_published_layout(self, golden, golden_mdf, tmp_path):
        """A model of ours that never was a published one: names and shapes are those of the published modules."""
        for kind, wrapper in (('published MoE-MDF segmentor', ''), ('published S4P segmentor', 'module.')):
            _, weights = published_files(golden, golden_mdf)[kind]
            ours = {name: value + 1 for name, value in to_ours(weights, 'x').weights.items()
                    if not name.startswith(UNUSED)}
            back = to_published(ours, 'x', {})
            assert {name: value.shape for name, value in back.weights.items()} == {
                wrapper + name: value.shape for name, value in weights.items()}
            assert to_ours(back.weights, 'x').weights.keys() > ours.keys()

    @pytest.mark.parametrize('teacher', [False, True])
    def test_evaluated_network_of_a_fixmatch_checkpoint(self, tiny_segmentor, tmp_path, teacher):
        torch.manual_seed(0)
        model = MODELS.build(dict(type='s5_mm.FixMatchSegmentor', segmentor=tiny_segmentor(), teacher={}))
        torch.nn.init.normal_(model.segmentor.backbone.pos_embed)
        model.teacher.steps.fill_(int(teacher))
        torch.save(dict(state_dict=model.state_dict(), optimizer={}), tmp_path / 'iter_4.pth')
        convert_checkpoint(str(tmp_path / 'iter_4.pth'), str(tmp_path / 'published.pth'), 'published')
        table = torch.load(tmp_path / 'published.pth', weights_only=True)['model']['module.encoder.pos_embed']
        assert torch.equal(table, model.evaluated.backbone.pos_embed)

    def test_no_place_for_other_data_sets(self, multi_segmentor):
        weights = MODELS.build(multi_segmentor()).state_dict()
        with pytest.raises(ValueError, match='x.pth: .* no place in the published MoE-MDF s.*; its datasets are vaih'):
            to_published(weights, 'x.pth', {})


class TestPeers:

    @pytest.mark.parametrize('adapter', [MAEViT, MMPretrainViT, MMSegViT])
    @pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
    def test_encoder(self, golden, tmp_path, adapter, suffix):
        """Renamed, in fp32, without the class entry of the position table; what is no encoder's is left out."""
        vit = ViT(golden.arch, golden.img_size)
        theirs = {rename(name, inverse(adapter.rows)): torch.randn_like(value)
                  for name, value in vit.state_dict().items() if not name.startswith('pyramid.')}
        theirs['pos_embed'] = torch.randn(1, 17, 48)
        extra = {'cls_token': torch.zeros(1, 1, 48)} | (
            {'decoder_pos_embed': torch.zeros(1, 17, 8)} if adapter is MAEViT else {})
        torch.save({'model': theirs | extra}, tmp_path / 'theirs.pth')
        converted = convert_checkpoint(str(tmp_path / 'theirs.pth'), str(tmp_path / f'ours{suffix}'), 's5_mm')
        assert converted.dropped == list(extra)
        ours = read_checkpoint(str(tmp_path / f'ours{suffix}'))['state_dict']
        assert ours.keys() == {key for key in vit.state_dict() if not key.startswith('pyramid.')}
        assert torch.equal(ours['pos_embed'], theirs['pos_embed'][:, 1:])
        load_weights(vit, str(tmp_path / f'ours{suffix}'), encoder_only=True)
        other = ViT(golden.arch, golden.img_size)
        load_weights(other, str(tmp_path / 'theirs.pth'), encoder_only=True)
        own = {key: value for key, value in vit.state_dict().items() if not key.startswith('pyramid.')}
        assert equal(own, {key: other.state_dict()[key] for key in own})

    def test_there_is_no_way_back(self, golden):
        weights = to_ours(golden.weights, 'x').weights
        weights = {name: value for name, value in weights.items() if '.pyramid.' not in name}
        with pytest.raises(ValueError, match='no encoder of s5_mm with its pyramid but one in mmpretrain ViT format'):
            to_published(weights, 'x.pth', {})


class TestDetector:

    def test_order_of_classes_is_mmrotates(self):
        assert DOTAv2Dataset.METAINFO['classes'] == DOTA_OURS

    def test_classifier_and_angle(self, golden, golden_mdf):
        """The rows of the order that was found out by comparing class lists, by number."""
        _, theirs = published_files(golden, golden_mdf)['published MoE-MDF detector']
        ours = to_ours(theirs, 'x').weights
        rows = [4, 10, 3, 8, 9, 0, 5, 11, 7, 13, 6, 12, 14, 1, 2, 15, 16, 17, 18]
        for part in ('weight', 'bias'):
            head = 'roi_head_{}.bbox_head.{}.' + part
            name = 'detectors.{}.roi_head.bbox_head.{}.' + part
            assert torch.equal(ours[name.format('dota', 'fc_cls')], theirs[head.format('dota', 'fc_cls')][rows])
            assert torch.equal(ours[name.format('dior', 'fc_cls')], theirs[head.format('dior', 'fc_cls')])
            for dataset in ('dior', 'dota'):
                old, new = theirs[head.format(dataset, 'fc_reg')], ours[name.format(dataset, 'fc_reg')]
                assert torch.equal(new[:4], old[:4])
                assert torch.equal(new[4], -old[4])

    @pytest.mark.parametrize(('name', 'rows', 'message'), [
        ('roi_head_dota.bbox_head.fc_cls.bias', 16, r'published classifier has 19 rows .*, this file\'s has 16'),
        ('roi_head_dior.bbox_head.fc_reg.bias', 100, "published box regressor has 5 rows .*, this file's has 100"),
    ])
    def test_other_heads_are_refused(self, golden, golden_mdf, name, rows, message):
        _, theirs = published_files(golden, golden_mdf)['published MoE-MDF detector']
        with pytest.raises(ValueError, match=message):
            to_ours(theirs | {name: torch.zeros(rows)}, 'x')


class TestErrors:

    def test_nothing_to_convert(self, tiny_vit, tmp_path):
        with pytest.raises(ValueError, match='x.pth has the names of s5_mm already; nothing is to be converted'):
            to_ours(MODELS.build(tiny_vit()).state_dict(), 'x.pth')
        with pytest.raises(ValueError, match='no encoder of s5_mm with its pyramid; only such a model can be written'):
            to_published({'a': torch.zeros(1)}, 'x.pth', {})
        with pytest.raises(ValueError, match='x.pth holds no encoder in a known format'):
            to_ours({'a': torch.zeros(1)}, 'x.pth')

    def test_published_already(self, golden):
        with pytest.raises(ValueError, match='no encoder of s5_mm with its pyramid but one in published S4P segm'):
            to_published(golden.weights, 'x.pth', {})

    def test_blocks_that_do_more(self, golden):
        with pytest.raises(ValueError, match='published S4P segmentor .*layers.2.gamma_1. They mean layer scale'):
            to_ours(golden.weights | {'encoder.layers.2.gamma_1': torch.ones(48)}, 'x.pth')

    def test_targets(self, write, tmp_path):
        path = write('published S4P encoder')[0]
        with pytest.raises(ValueError, match="to is 'mmseg'; choose one of s5_mm, published"):
            convert_checkpoint(path, str(tmp_path / 'x.pth'), 'mmseg')
        with pytest.raises(ValueError, match="x.bin ends in '.bin'; choose one of .pth, .safetensors"):
            convert_checkpoint(path, str(tmp_path / 'x.bin'), 's5_mm')
        (tmp_path / 'x.pth').write_text('precious')
        with pytest.raises(FileExistsError, match='x.pth exists; .* --force'):
            convert_checkpoint(path, str(tmp_path / 'x.pth'), 's5_mm')
        assert (tmp_path / 'x.pth').read_text() == 'precious'

    def test_a_file_may_replace_itself(self, write, command, golden, tmp_path):
        """It is mapped while the new one is written."""
        path = write('published S4P encoder')[0]
        command([path, path, '--to', 's5_mm', '--force'])
        vit = ViT(golden.arch, golden.img_size)
        load_weights(vit, path)
        assert torch.equal(vit.pos_embed, golden.weights['encoder.pos_embed'])
