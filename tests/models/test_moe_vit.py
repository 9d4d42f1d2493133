"""The encoder with experts: same function as the published one, mixed batches, files that load into it."""
import pytest
import torch

from s5_mm.checkpoints import load_weights
from s5_mm.checkpoints.experts import merge_experts
from s5_mm.models import ViT, ViTMoE
from s5_mm.registry import MODELS
from s5_mm.routing import Route

NAMES = ('red', 'green')


def route_of(names):
    """The route of a batch whose samples come from ``names``."""
    order = sorted(range(len(names)), key=lambda i: list(dict.fromkeys(names)).index(names[i]))
    groups = tuple(dict.fromkeys(names))
    return Route(groups, tuple(list(names).count(name) for name in groups),
                 None if order == list(range(len(names))) else tuple(order))


def published_vit(golden, **kwargs):
    vit = ViTMoE(golden.expert_order, golden.part_features, arch=golden.arch, img_size=golden.img_size, **kwargs)
    vit.eval()
    return vit


@pytest.fixture
def published_file(golden_mdf, tmp_path):
    torch.save({'model': {f'module.{name}': value for name, value in golden_mdf.weights.items()}}, tmp_path / 'mdf.pth')
    return str(tmp_path / 'mdf.pth')


@pytest.fixture
def moe(tiny_vit):
    def build(seed=0, **kwargs):
        torch.manual_seed(seed)
        vit = MODELS.build(tiny_vit(**{'type': 's5_mm.ViTMoE', 'datasets': NAMES, 'part_features': 4, **kwargs}))
        for parameter in vit.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        vit.eval()
        return vit
    return build


@pytest.fixture
def dense(tiny_vit):
    torch.manual_seed(5)
    vit = MODELS.build(tiny_vit())
    for parameter in vit.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    vit.eval()
    return vit


class TestPublishedFunction:

    @pytest.mark.parametrize('dataset', ['vaihingen', 'potsdam', 'openearthmap', 'loveda'])
    def test_features(self, golden_mdf, published_file, dataset):
        vit = published_vit(golden_mdf, expert_order=golden_mdf.expert_order)
        load_weights(vit, published_file)
        with torch.no_grad():
            maps = vit(golden_mdf.images, Route((dataset, ), (2, ), None))
        for level, values in enumerate(maps):
            expected = torch.tensor(golden_mdf.arrays[f'moe_{dataset}_feat{level}'])
            assert (values - expected).abs().max() < 1e-4

    def test_features_from_dense_weights(self, golden, golden_mdf, published_encoder):
        """Through init_cfg; the published code gives the dense encoder's values for every dataset."""
        init_cfg = dict(type='s5_mm.LoadWeights', checkpoint=published_encoder)
        vit = published_vit(golden_mdf, init_cfg=init_cfg)
        vit.init_weights()
        with torch.no_grad():
            for dataset in golden_mdf.expert_order:
                maps = vit(golden.images, Route((dataset, ), (2, ), None))
                for level, values in enumerate(maps):
                    assert (values - torch.tensor(golden.arrays[f's4p_feat{level}'])).abs().max() < 1e-4


class TestMixedBatch:

    @pytest.mark.parametrize('names', [
        ('red', 'red', 'green', 'green'), ('green', 'red', 'red', 'green'), ('red', 'green', 'red', 'green')])
    @pytest.mark.parametrize('with_cp', [False, True])
    def test_equals_separate_forwards(self, moe, names, with_cp):
        vit = moe(with_cp=with_cp)
        images = torch.randn(4, 3, 32, 32)
        mixed = vit(images, route_of(names))
        for i, name in enumerate(names):
            alone = vit(images[i:i + 1], route_of([name]))
            for level, expected in zip(mixed, alone, strict=True):
                assert torch.allclose(level[i], expected[0], atol=1e-5)
        assert not torch.allclose(vit(images[:1], route_of(['red']))[2], vit(images[:1], route_of(['green']))[2])

    def test_experts_learn_from_their_own_samples(self, moe):
        vit = moe()
        vit(torch.randn(2, 3, 32, 32), route_of(['red', 'green']))[3][1].square().sum().backward()
        for layer in vit.layers:
            assert layer.ffn.experts['red'].weight.grad.abs().max() == 0
            assert layer.ffn.experts['green'].weight.grad.abs().max() > 0

    def test_shared_layers_get_the_sum(self, moe):
        vit, images = moe(), torch.randn(2, 3, 32, 32)

        def gradients(images, names):
            vit.zero_grad()
            sum(level.square().sum() for level in vit(images, route_of(names))).backward()
            return {name: parameter.grad for name, parameter in vit.named_parameters() if '.experts.' not in name}
        red, green = gradients(images[:1], ['red']), gradients(images[1:], ['green'])
        for name, both in gradients(images, ['red', 'green']).items():
            assert torch.allclose(both, red[name] + green[name], rtol=1e-4, atol=1e-5 * both.abs().max())

    def test_unknown_data_set(self, moe):
        with pytest.raises(ValueError, match=r"route names dataset blue, the encoder has \['red', 'green'\]"):
            moe()(torch.zeros(1, 3, 32, 32), route_of(['blue']))
        with pytest.raises(ValueError, match='route names dataset none, the encoder has'):
            moe()(torch.zeros(1, 3, 32, 32))

    def test_one_data_set_needs_no_route(self, moe):
        vit, images = moe(datasets=('red', )), torch.randn(1, 3, 32, 32)
        assert torch.equal(vit(images)[0], vit(images, route_of(['red']))[0])


class TestOptions:

    def test_no_experts_is_the_plain_encoder(self, moe, dense):
        vit = moe(part_features=0)
        assert [name for name, _ in vit.named_parameters()] == [name for name, _ in dense.named_parameters()]
        vit.load_state_dict(dense.state_dict())
        images = torch.randn(2, 3, 32, 32)
        assert torch.equal(vit(images, route_of(['red', 'green']))[1], dense(images)[1])

    def test_alpha(self, moe):
        assert moe(part_features=None, alpha=0.25).part_features == 4
        assert ViTMoE(NAMES, alpha=1 / 3, arch='tiny', img_size=32).part_features == 32

    def test_drop_path_is_kept(self, moe):
        rates = [getattr(layer.ffn.dropout_layer, 'drop_prob', 0) for layer in moe(drop_path_rate=0.3).layers]
        assert rates == pytest.approx([0, 0.1, 0.2, 0.3])

    @pytest.mark.parametrize(('options', 'message'), [
        (dict(part_features=None), 'part_features is None and alpha None; give one of them'),
        (dict(part_features=4, alpha=0.25), 'part_features is 4 and alpha 0.25; give one of them'),
        (dict(part_features=16), r'an expert of 16 of 16 channels is impossible; .* must be an integer in \[0, 16\)'),
        (dict(part_features=-1), 'an expert of -1 of 16 channels'),
        (dict(part_features=None, alpha=0.3), 'an expert of 4.8 of 16 channels is impossible; part_features, or alpha'),
        (dict(datasets=()), r'named \[\]: at least one is needed'),
        (dict(datasets=('a.b', )), r"named \['a\.b'\]: 'a\.b' is impossible: .* without dots"),
        (dict(datasets=('red', 'keys')), "'keys' is impossible: .* not an attribute of torch modules"),
        (dict(datasets=('red', 'red')), 'each name once'),
    ])
    def test_bad_ones(self, moe, options, message):
        with pytest.raises(ValueError, match=message):
            moe(**options)


class TestDenseWeights:

    @pytest.mark.parametrize('way', ['state_dict', 'prefix', 'file'])
    def test_last_rows_go_to_every_expert(self, moe, dense, tmp_path, way):
        vit = moe()
        if way == 'state_dict':
            load_weights(vit, dense.state_dict())
        elif way == 'prefix':
            load_weights(vit, {f'backbone.{name}': value for name, value in dense.state_dict().items()})
        else:
            torch.save(dense.state_dict(), tmp_path / 'x.pth')
            load_weights(vit, str(tmp_path / 'x.pth'))
        rows = dense.layers[2].ffn.layers[1].weight
        assert torch.equal(vit.layers[2].ffn.layers[1].weight, rows[:12])
        assert torch.equal(vit.layers[2].ffn.experts['red'].weight, rows[12:])
        assert torch.equal(vit.layers[2].ffn.experts['green'].weight, rows[12:])
        images = torch.randn(2, 3, 32, 32)
        assert torch.allclose(vit(images, route_of(['red', 'green']))[0], dense(images)[0], atol=1e-5)

    def test_experts_have_storage_of_their_own(self, moe, dense):
        vit = moe()
        load_weights(vit, dense.state_dict())
        with torch.no_grad():
            vit.layers[0].ffn.experts['red'].weight.zero_()
        assert vit.layers[0].ffn.experts['green'].weight.abs().max() > 0

    def test_mae_file(self, moe, tmp_path, dense):
        names = {'layers.': 'blocks.', '.ffn.blocks.0.0.': '.mlp.fc1.', '.ffn.blocks.1.': '.mlp.fc2.', '.ln': '.norm',
                 'patch_embed.projection': 'patch_embed.proj'}
        weights = {}
        for name, value in dense.state_dict().items():
            for ours, theirs in names.items():
                name = name.replace(ours, theirs)
            if not name.startswith('pyramid.'):
                weights[name] = value
        torch.save({'model': weights}, tmp_path / 'mae.pth')
        vit = moe(init_cfg=dict(type='s5_mm.LoadWeights', checkpoint=str(tmp_path / 'mae.pth')))
        vit.init_weights()
        assert torch.equal(vit.layers[3].ffn.experts['green'].bias, dense.layers[3].ffn.layers[1].bias[12:])

    def test_own_weights_stay(self, moe):
        first, second = moe(0), moe(1)
        second.load_state_dict(first.state_dict())
        for name, value in second.state_dict().items():
            assert torch.equal(value, first.state_dict()[name])

    def test_fold_undoes_the_split(self, moe, dense):
        vit = moe(2)
        plain = ViT(dense.arch_settings | dict(out_indices=(0, 1, 2, 3)), img_size=32, patch_size=8)
        plain.load_state_dict(merge_experts(vit.state_dict(), 'green'))
        plain.eval()
        images = torch.randn(2, 3, 32, 32)
        for level, expected in zip(plain(images), vit(images, route_of(['green', 'green'])), strict=True):
            assert torch.allclose(level, expected, atol=1e-6)
        with pytest.raises(ValueError, match=r"no expert of dataset 'blue'; the encoder has \['red', 'green'\]"):
            merge_experts(vit.state_dict(), 'blue')


class TestMisfits:

    @pytest.mark.parametrize('part', [8, 0])
    def test_other_part(self, moe, tmp_path, part):
        torch.save(moe().state_dict(), tmp_path / 'x.pth')
        told = f'share 12 channels among datasets, those of this encoder {16 - part}; set part_features accordingly'
        with pytest.raises(ValueError, match=told):
            load_weights(moe(part_features=part), str(tmp_path / 'x.pth'))

    def test_numbered_experts_need_an_order(self, golden_mdf, published_file):
        for order in (None, ['vaihingen']):
            with pytest.raises(ValueError, match='numbers its 4 experts, and expert_order is .*; give the datasets'):
                load_weights(published_vit(golden_mdf, expert_order=order), published_file)

    def test_missing_expert(self, moe):
        weights = moe().state_dict()
        with pytest.raises(ValueError, match=r"experts of datasets \['red', 'green'\], none of \['blue'\]; add them"):
            load_weights(moe(datasets=('red', 'blue')), weights)
