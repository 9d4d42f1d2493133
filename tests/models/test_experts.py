"""Experts: the layer against linear algebra, encoders with them against the published one, mixed batches."""
import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from s5_mm.checkpoints import load_weights
from s5_mm.checkpoints.experts import merge_experts
from s5_mm.models import ViT
from s5_mm.models.layers import Experts
from s5_mm.registry import MODELS
from s5_mm.routing import Route

NAMES = ('red', 'green')
SWIN = dict(type='s5_mm.HostEncoder', encoder=dict(
    type='mmseg.SwinTransformer', embed_dims=8, depths=(2, 1, 1, 1), num_heads=(1, 2, 2, 2), window_size=2,
    drop_path_rate=0.0))


def route_of(names):
    """The route of a batch whose samples come from ``names``."""
    order = sorted(range(len(names)), key=lambda i: list(dict.fromkeys(names)).index(names[i]))
    groups = tuple(dict.fromkeys(names))
    return Route(groups, tuple(list(names).count(name) for name in groups),
                 None if order == list(range(len(names))) else tuple(order))


def randomized(model, seed=0):
    torch.manual_seed(seed)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model.eval()


@pytest.fixture
def moe(tiny_vit):
    def build(seed=0, names=NAMES, experts=None, **kwargs):
        experts = dict(part_features=4) if experts is None else experts
        return randomized(MODELS.build(tiny_vit(experts=dict(experts, names=names), **kwargs)), seed)
    return build


@pytest.fixture
def dense(tiny_vit):
    return randomized(MODELS.build(tiny_vit()), 5)


@pytest.fixture
def swin():
    def build(seed=0, **kwargs):
        return randomized(MODELS.build(copy.deepcopy(SWIN) | kwargs), seed)
    return build


class TestExpertLinear:
    route = Route(('b', 'a'), (2, 1), None)

    @staticmethod
    def layer():
        torch.manual_seed(0)
        experts = Experts(names=('a', 'b'), part_features=2)
        return experts.second_linear(10, 6), experts.current

    def test_shared_channels_come_first_and_the_group_decides_on_the_rest(self):
        layer, current = self.layer()
        current.route, x = self.route, torch.randn(3, 4, 10)
        out = layer(x)
        for sample, name in enumerate('bba'):
            rows = torch.cat([layer.weight, layer.experts[name].weight])
            bias = torch.cat([layer.bias, layer.experts[name].bias])
            assert torch.allclose(out[sample], F.linear(x[sample], rows, bias), atol=1e-6)

    def test_windows_of_an_image_lie_together(self):
        """Two entries an image: the first four are those of the two images of group b."""
        layer, current = self.layer()
        current.route, x = self.route, torch.randn(6, 4, 10)
        own = layer(x)[..., 4:]
        assert torch.allclose(own[:4], layer.experts['b'](x[:4]), atol=1e-6)
        assert torch.allclose(own[4:], layer.experts['a'](x[4:]), atol=1e-6)

    def test_gradients_are_those_of_the_composition_and_hooks_see_them(self):
        layer, current = self.layer()
        current.route, x = self.route, torch.randn(3, 4, 10, requires_grad=True)
        seen = []
        hidden = x * 1
        hidden.register_hook(seen.append)
        weights = torch.randn(3, 4, 6)
        (layer(hidden) * weights).sum().backward()
        dense = [torch.cat([layer.weight, layer.experts[name].weight]) for name in 'bba']
        expected = torch.stack([one @ rows for one, rows in zip(weights, dense, strict=True)])
        assert torch.allclose(x.grad, expected, atol=1e-5)
        assert torch.allclose(seen[0], expected, atol=1e-5)

    def test_an_expert_learns_from_its_images_alone(self):
        layer, current = self.layer()
        current.route = self.route
        layer(torch.randn(3, 4, 10))[:2].square().sum().backward()
        assert layer.experts['a'].weight.grad.abs().max() == 0
        assert layer.experts['b'].weight.grad.abs().max() > 0


class TestPublishedFunction:

    @pytest.mark.parametrize('with_cp', [False, True, 'selective'])
    def test_features(self, golden_mdf, tmp_path, with_cp):
        torch.save({'model': {f'module.{name}': value for name, value in golden_mdf.weights.items()}}, tmp_path / 'x')
        vit = ViT(golden_mdf.arch, golden_mdf.img_size, with_cp=with_cp, experts=dict(
            names=sorted(golden_mdf.expert_order), part_features=golden_mdf.part_features,
            order=golden_mdf.expert_order))
        load_weights(vit, str(tmp_path / 'x'))
        vit.eval()
        for dataset in golden_mdf.expert_order:
            maps = vit(golden_mdf.images, Route((dataset, ), (2, ), None))
            for level, values in enumerate(maps):
                expected = torch.tensor(golden_mdf.arrays[f'moe_{dataset}_feat{level}'])
                assert (values - expected).abs().max() < 1e-4

    def test_features_from_dense_weights(self, golden, golden_mdf, published_encoder):
        """The published code gives the dense encoder's values for every dataset."""
        vit = ViT(golden_mdf.arch, golden_mdf.img_size, experts=dict(
            names=golden_mdf.expert_order, part_features=golden_mdf.part_features))
        load_weights(vit, published_encoder)
        vit.eval()
        with torch.no_grad():
            for dataset in golden_mdf.expert_order:
                maps = vit(golden.images, Route((dataset, ), (2, ), None))
                for level, values in enumerate(maps):
                    assert (values - torch.tensor(golden.arrays[f's4p_feat{level}'])).abs().max() < 1e-4


class TestMixedBatch:

    @pytest.mark.parametrize('names', [
        ('red', 'red', 'green', 'green'), ('green', 'red', 'red', 'green'), ('red', 'green', 'red', 'green')])
    @pytest.mark.parametrize('kind', ['vit', 'recomputed vit', 'swin'])
    def test_equals_separate_forwards(self, moe, swin, names, kind):
        encoder = swin(experts=dict(names=NAMES, share=1 / 4)) if kind == 'swin' else moe(with_cp=kind != 'vit')
        images = torch.randn(4, 3, 64, 64)
        mixed = encoder(images, route_of(names))
        for i, name in enumerate(names):
            alone = encoder(images[i:i + 1], route_of([name]))
            for level, expected in zip(mixed, alone, strict=True):
                assert torch.allclose(level[i], expected[0], atol=1e-4)
        assert not torch.allclose(encoder(images[:1], route_of(['red']))[2],
                                  encoder(images[:1], route_of(['green']))[2])

    def test_experts_learn_from_their_own_samples(self, moe):
        vit = moe()
        vit(torch.randn(2, 3, 32, 32), route_of(['red', 'green']))[3][1].square().sum().backward()
        for layer in vit.layers:
            assert layer.ffn.layers[1].experts['red'].weight.grad.abs().max() == 0
            assert layer.ffn.layers[1].experts['green'].weight.grad.abs().max() > 0

    @pytest.mark.parametrize('with_cp', [False, True, 'selective'])
    def test_shared_layers_get_the_sum(self, moe, with_cp):
        """Also where the backward pass of one batch comes after the forward pass of another."""
        vit, images = moe(with_cp=with_cp), torch.randn(2, 3, 32, 32)

        def gradients(*batches):
            vit.zero_grad()
            losses = [sum(level.square().sum() for level in vit(one, route_of(names))) for one, names in batches]
            sum(losses).backward()
            return {name: parameter.grad for name, parameter in vit.named_parameters()}
        apart = gradients((images[:1], ['red']), (images[1:], ['green']))
        for name, both in gradients((images, ['red', 'green'])).items():
            assert torch.allclose(both, apart[name], rtol=1e-3, atol=1e-4 * both.abs().max()), name

    def test_unknown_dataset(self, moe):
        with pytest.raises(ValueError, match=r"dataset blue, the encoder has experts of \['red', 'green'\]"):
            moe()(torch.zeros(1, 3, 32, 32), route_of(['blue']))
        with pytest.raises(ValueError, match='route names dataset none, the encoder has'):
            moe()(torch.zeros(1, 3, 32, 32))

    def test_one_dataset_needs_no_route(self, moe):
        vit, images = moe(names=('red', )), torch.randn(1, 3, 32, 32)
        assert torch.equal(vit(images)[0], vit(images, route_of(['red']))[0])


class TestRouter:
    """A router of one's own: every image to the other dataset's expert, with a loss of its own that is learned."""

    class Swapped(nn.Module):

        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, images, route):
            names = {'red': 'green', 'green': 'red'}
            return route._replace(names=tuple(names[name] for name in route.names))

        def losses(self):
            return dict(loss_router=self.scale.square())

    def test_it_decides_and_its_loss_is_optimized(self, multi_segmentor, make_sample, moe):
        plain, swapped = moe(), moe(experts=dict(part_features=4, router=self.Swapped()))
        images = torch.randn(2, 3, 32, 32)
        swapped.load_state_dict({**plain.state_dict(), 'router.scale': torch.ones(())})
        one, other = plain(images, route_of(['red', 'green'])), swapped(images, route_of(['green', 'red']))
        assert all(torch.allclose(a, b) for a, b in zip(one, other, strict=True))
        model = MODELS.build(multi_segmentor(experts=dict(part_features=4, router=self.Swapped())))
        samples = [make_sample(name, torch.zeros(32, 32)) for name in ('red', 'red', 'green', 'green')]
        total, logged = model.parse_losses(model.loss(torch.randn(4, 3, 32, 32), samples))
        total.backward()
        assert logged['loss_router'] == 1
        assert model.backbone.router.scale.grad == 2


class TestOptions:

    def test_share(self, moe, swin):
        assert moe(experts=dict(share=0.25)).layers[0].ffn.layers[1].experts['red'].out_features == 4
        parts = [layer.experts['red'].out_features for layer in swin(
            experts=dict(names=NAMES, share=1 / 4)).second_linears().values()]
        assert parts == [2, 2, 4, 8, 16]

    @pytest.mark.parametrize(('experts', 'message'), [
        ({}, 'part_features is None and share None; give one of them'),
        (dict(part_features=4, share=0.25), 'part_features is 4 and share 0.25; give one of them'),
        (dict(part_features=16), r'an expert of 16 of 16 channels is impossible; .* must be an integer in \[1, 16\)'),
        (dict(part_features=0), 'an expert of 0 of 16 channels'),
        (dict(share=0.3), 'an expert of 4.8 of 16 channels is impossible; part_features, or share'),
    ])
    def test_bad_sizes(self, moe, experts, message):
        with pytest.raises(ValueError, match=message):
            moe(experts=experts)

    @pytest.mark.parametrize(('names', 'message'), [
        ((), r'named \[\]: at least one is needed'),
        (('a.b', ), r"named \['a\.b'\]: 'a\.b' is impossible: .* without dots"),
        (('red', 'keys'), "'keys' is impossible: .* not an attribute of torch modules"),
        (('red', 'red'), 'each name once'),
    ])
    def test_bad_names(self, moe, names, message):
        with pytest.raises(ValueError, match=message):
            moe(names=names)

    def test_a_host_without_matching_layers(self):
        with pytest.raises(ValueError, match='ResNet: experts are wanted, but no linear .*HostEncoder.second'):
            MODELS.build(dict(type='s5_mm.HostEncoder', encoder=dict(
                type='mmseg.ResNet', depth=18, base_channels=4, stem_channels=4), experts=dict(names='a', share=0.5)))

    def test_a_backbone_without_the_contract(self, multi_segmentor):
        cfg = multi_segmentor() | dict(backbone=dict(type='mmseg.ResNet', depth=18))
        with pytest.raises((ValueError, TypeError), match='experts'):
            MODELS.build(cfg)


class TestDenseWeights:

    def test_last_rows_go_to_every_expert(self, moe, dense):
        vit = moe()
        load_weights(vit, dense.state_dict())
        rows, layer = dense.layers[2].ffn.layers[1].weight, vit.layers[2].ffn.layers[1]
        assert torch.equal(layer.weight, rows[:12])
        assert torch.equal(layer.experts['red'].weight, rows[12:])
        assert torch.equal(layer.experts['green'].weight, rows[12:])
        images = torch.randn(2, 3, 32, 32)
        assert torch.allclose(vit(images, route_of(['red', 'green']))[0], dense(images)[0], atol=1e-5)
        with torch.no_grad():
            layer.experts['red'].weight.zero_()
        assert layer.experts['green'].weight.abs().max() > 0

    def test_swin(self, swin):
        dense, moe = swin(5), swin(experts=dict(names=NAMES, share=1 / 4))
        load_weights(moe, dense.state_dict())
        images = torch.randn(2, 3, 64, 64)
        for level, expected in zip(moe(images, route_of(['red', 'green'])), dense(images), strict=True):
            assert torch.allclose(level, expected, atol=1e-4)

    @pytest.mark.parametrize('kind', ['vit', 'swin'])
    def test_merging_undoes_the_split(self, moe, swin, tiny_vit, kind):
        encoder = moe(2) if kind == 'vit' else swin(2, experts=dict(names=NAMES, share=1 / 4))
        plain = MODELS.build(tiny_vit()).eval() if kind == 'vit' else swin()
        plain.load_state_dict(merge_experts(encoder.state_dict(), 'green'))
        images = torch.randn(2, 3, 64, 64)
        for level, expected in zip(plain(images), encoder(images, route_of(['green', 'green'])), strict=True):
            assert torch.allclose(level, expected, atol=1e-5)
        with pytest.raises(ValueError, match=r"no expert of dataset 'blue'; the encoder has \['red', 'green'\]"):
            merge_experts(encoder.state_dict(), 'blue')

    def test_missing_expert(self, moe):
        with pytest.raises(ValueError, match=r"has experts of \['green', 'red'\], none of \['blue'\]; add them"):
            load_weights(moe(names=('red', 'blue')), moe().state_dict())

    def test_other_part(self, moe):
        with pytest.raises(ValueError, match='part_features'):
            load_weights(moe(experts=dict(part_features=8)), moe().state_dict())

    def test_numbered_experts_need_an_order(self, golden_mdf, tmp_path):
        torch.save({'model': golden_mdf.weights}, tmp_path / 'x.pth')
        for order in (None, ['vaihingen']):
            vit = ViT(golden_mdf.arch, golden_mdf.img_size, experts=dict(
                names=golden_mdf.expert_order, part_features=golden_mdf.part_features, order=order))
            with pytest.raises(ValueError, match='order'):
                load_weights(vit, str(tmp_path / 'x.pth'))
