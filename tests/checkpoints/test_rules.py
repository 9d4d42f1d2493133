"""What loads and what is refused: no file may make an encoder that computes another function."""
import argparse

import pytest
import torch
from torch import nn

from s5_mm.checkpoints import load_weights
from s5_mm.checkpoints.adapters import inverse, rename
from s5_mm.checkpoints.formats import MAEViT, MMPretrainViT, MMSegViT, PublishedEncoder
from s5_mm.registry import MODELS

WIDTH = 16
HOSTS = {
    'swin': dict(type='SwinTransformer', embed_dims=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2), window_size=4),
    'segformer': dict(type='MixVisionTransformer', embed_dims=8, num_layers=(1, 1, 1, 1), num_heads=(1, 1, 2, 2),
                      patch_sizes=(7, 3, 3, 3), sr_ratios=(8, 4, 2, 1), out_indices=(0, 1, 2, 3)),
    'resnet': dict(type='ResNet', depth=18, base_channels=8, out_indices=(0, 1, 2, 3)),
}


def randomized(cfg, seed=0):
    torch.manual_seed(seed)
    model = MODELS.build(cfg)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


def equal(a, b):
    return all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())


@pytest.fixture
def vit(tiny_vit):
    return randomized(tiny_vit())


@pytest.fixture
def target(tiny_vit):
    return randomized(tiny_vit(), 1)


def written(vit, adapter):
    """The encoder's weights in a format without a pyramid, or the published one."""
    return {rename(name, inverse(adapter.rows)): value for name, value in vit.state_dict().items()
            if not adapter.may_lack or not name.startswith('pyramid.')}


def mae(vit, **others):
    """A file of MAE as published: class token with its entry, decoder, final norm."""
    weights = written(vit, MAEViT)
    entry = torch.full((1, 1, WIDTH), 9.0)
    return weights | dict(
        pos_embed=torch.cat([entry, weights['pos_embed']], dim=1), cls_token=entry, mask_token=torch.zeros(1, 1, 8)) | {
        'decoder_pos_embed': torch.zeros(1, 17, 8), 'decoder_blocks.0.attn.qkv.weight': torch.zeros(24, 8),
        'norm.weight': torch.ones(WIDTH)} | others


def timm(vit, *left_out, **others):
    """A file of timm without class token; patterns of names that it does not have."""
    weights = {name: value for name, value in written(vit, MAEViT).items()
               if not any(part in name for part in left_out)}
    return weights | {'head.weight': torch.zeros(3, WIDTH), 'fc_norm.weight': torch.zeros(WIDTH)} | {
        name.replace('__', '.'): value for name, value in others.items()}


ONES = torch.ones(WIDTH)
ACCEPTED = {
    'MAE': (mae, {'cls_token', 'mask_token', 'decoder_pos_embed', 'decoder_blocks.0.attn.qkv.weight', 'norm.weight'}),
    'SelectiveMAE': (lambda vit: mae(vit, pos_embed_probs=ONES, **{'hog.weight': ONES, 'get_token_probs.0.bias': ONES}),
                     {'hog.weight', 'pos_embed_probs', 'get_token_probs.0.bias'}),
    'timm': (timm, {'head.weight', 'fc_norm.weight'}),
    'DINO, below a prefix': (lambda vit: {f'module.backbone.{name}': value for name, value in timm(vit).items()} | {
        'module.head.mlp.0.weight': ONES}, {'head.mlp.0.weight'}),
    'mmpretrain': (lambda vit: {f'backbone.{name}': value for name, value in written(vit, MMPretrainViT).items()} | {
        'backbone.ln1.weight': ONES, 'head.fc.weight': ONES}, {'backbone.ln1.weight', 'head.fc.weight'}),
    'mmseg': (lambda vit: written(vit, MMSegViT) | {'pos_embed': torch.cat([
        torch.full((1, 1, WIDTH), 9.0), vit.pos_embed.detach()], dim=1), 'cls_token': ONES}, {'cls_token'}),
    'published S5': (lambda vit: written(vit, PublishedEncoder) | {'cls_token': ONES}, {'cls_token'}),
    'ours': (lambda vit: vit.state_dict(), set()),
    'ours, converted from a file without pyramid': (lambda vit: written(vit, MMPretrainViT), set()),
}


@pytest.mark.parametrize('kind', ACCEPTED)
def test_accepted(vit, target, tmp_path, kind):
    """The same encoder, and the report says what was dropped."""
    make, dropped = ACCEPTED[kind]
    torch.save({'model': make(vit), 'args': argparse.Namespace(lr=1e-3)}, tmp_path / 'x.pth')
    pyramid = {name: value.clone() for name, value in target.pyramid.state_dict().items()}
    report = load_weights(target, str(tmp_path / 'x.pth'), encoder_only=True)
    assert {name.removeprefix('unused.') for name in report.dropped} >= dropped
    assert all(torch.equal(value, target.state_dict()[name]) for name, value in vit.state_dict().items()
               if not name.startswith('pyramid.'))
    if report.initial:
        assert {name.split('.')[0] for name in report.initial} == {'pyramid'}
        assert all(torch.equal(value, pyramid[name]) for name, value in target.pyramid.state_dict().items())
        with pytest.raises(ValueError, match='It lacks 8 tensors of the model, e.g. pyramid'):
            load_weights(target, str(tmp_path / 'x.pth'))
    else:
        assert equal(vit, target)


def deeper(vit):
    return mae(vit) | {name.replace('blocks.0', f'blocks.{i}'): value for name, value in mae(vit).items()
                       for i in range(4, 8) if name.startswith('blocks.0.')}


REFUSED = {
    'CLIP': (lambda vit: timm(vit, 'patch_embed.proj.bias', norm_pre__weight=ONES),
             'norm_pre.* a norm before the blocks'),
    'no patch bias': (lambda vit: timm(vit, 'patch_embed.proj.bias'), 'patch_embed.projection.bias: .* as in CLIP'),
    'Scale-MAE': (lambda vit: mae(vit, mask_token_decoder=ONES),
                  'mask_token_decoder. .* depend on the ground resolution'),
    'no qkv bias': (lambda vit: timm(vit, 'qkv.bias'),
                    r'lacks 4 .*layers.0.attn.qkv.bias: .* \(option qkv_bias=False\)'),
    'registers': (lambda vit: timm(vit, reg_token=ONES), 'reg_token. They mean register tokens'),
    'no position table': (lambda vit: timm(vit, 'pos_embed'), 'lacks 1 .* pos_embed: the file has no position table'),
    'no norms': (lambda vit: timm(vit, 'norm1', 'norm2'), 'lacks 16 .* layers.0.ln1.weight: .* no such norms'),
    'too many blocks': (deeper, r'The file has 8 blocks, this encoder 4 \(option num_layers\)'),
    'own, too many blocks': (
        lambda vit: vit.state_dict() | {name.replace('layers.0', 'layers.4'): value
                                        for name, value in vit.state_dict().items() if name.startswith('layers.0.')},
        'The file has 5 blocks, this encoder 4'),
    'too few blocks': (lambda vit: timm(vit, 'blocks.3.'),
                       r'the file has 3 blocks, this encoder 4 \(option num_layers\)'),
    'own, too few blocks': (
        lambda vit: {name: value for name, value in vit.state_dict().items() if not name.startswith('layers.3.')},
        'the file has 3 blocks, this encoder 4'),
    'layer scale': (lambda vit: timm(vit, blocks__1__ls1__gamma=ONES), 'blocks.1.ls1.gamma. They mean layer scale '
                    r'\(option layer_scale\)'),
    'published layer scale': (lambda vit: written(vit, PublishedEncoder) | {'layers.1.gamma_1': ONES}, 'layer scale'),
    'qk_norm': (lambda vit: timm(vit, blocks__0__attn__q_norm__weight=ONES), 'normalized queries and keys'),
    'rel_pos': (lambda vit: timm(vit, blocks__2__attn__rel_pos_h=ONES), 'relative positions'),
    'BEiT': (lambda vit: timm(vit, blocks__3__attn__relative_position_bias_table=ONES), 'relative positions .*BEiT'),
    'BEiT biases': (lambda vit: timm(vit, 'qkv.bias', blocks__0__attn__q_bias=ONES),
                    'biases of queries and values alone'),
    'DeiT distilled': (lambda vit: timm(vit, dist_token=ONES), 'distillation token'),
    'SatMAE groups': (lambda vit: mae(vit, channel_embed=ONES), 'groups of bands'),
    'half a pyramid': (lambda vit: {name: value for name, value in vit.state_dict().items()
                                    if name != 'pyramid.upsample_2x.0.bias'}, 'pyramid of the file is incomplete'),
    'half a pyramid in another format': (
        lambda vit: {rename(name, inverse(MAEViT.rows)): value for name, value in vit.state_dict().items()
                     if name != 'pyramid.upsample_2x.0.bias'},
        'lacks 1 parameters of the encoder, e.g. pyramid.upsample_2x.0.bias: the pyramid of the file is incomplete'),
    'published without pyramid': (lambda vit: {name: value for name, value in written(vit, PublishedEncoder).items()
                                               if not name.startswith('fpn')}, 'lacks 8 .*the pyramid of the file'),
    'other width': (lambda vit: timm(randomized(dict(type='s5_mm.ViT', img_size=32, patch_size=8, arch=dict(
        embed_dims=24, num_layers=4, num_heads=2, feedforward_channels=32, out_indices=(0, 1, 2, 3))))),
        'The file is 24 wide, this encoder 16: choose the arch of that width'),
    'other patch': (lambda vit: timm(vit, patch_embed__proj__weight=torch.ones(WIDTH, 3, 14, 14)),
                    'patches of 14 px, this encoder of 8: set patch_size=14 and fitting'),
    'four bands': (lambda vit: timm(vit, patch_embed__proj__weight=torch.ones(WIDTH, 4, 8, 8)),
                   'The file has 4 bands, this encoder 3'),
    'other FFN': (lambda vit: timm(vit, blocks__0__mlp__fc1__bias=torch.ones(48)),
                  r'1 tensors .* shape, e.g. layers.0.ffn.layers.0.0.bias: \(48,\) in the file, \(32,\) here'),
    'table that is not square': (lambda vit: timm(vit, pos_embed=torch.ones(1, 21, WIDTH)), 'pos_embed has 21 entries'),
    'experts': (lambda vit: vit.state_dict() | {'layers.0.ffn.layers.1.experts.red.weight': ONES},
                'experts of datasets'),
    'nonsense': (lambda vit: {'a.weight': ONES, 'b': ONES}, r"of an encoder|names begin with \['a.weight', 'b'\]"),
}


@pytest.mark.parametrize('whole', [False, True])
@pytest.mark.parametrize('kind', REFUSED)
def test_refused(vit, target, kind, whole):
    make, message = REFUSED[kind]
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        load_weights(target, make(vit), encoder_only=not whole)
    assert all(torch.equal(value, target.state_dict()[name]) for name, value in before.items())


CHANGES = {
    'removed': lambda weights, name: weights.pop(name),
    'renamed': lambda weights, name: weights.update({f'{name}_x': weights.pop(name)}),
    'doubled': lambda weights, name: weights.update({f'{name}_x': weights[name]}),
    'reshaped': lambda weights, name: weights.update({name: torch.stack([weights[name]] * 2)}),
    'cut': lambda weights, name: weights.update({name: weights[name][..., :-1]}),
}


@pytest.mark.parametrize('change', CHANGES)
@pytest.mark.parametrize('adapter', [None, MAEViT, MMPretrainViT, PublishedEncoder])
def test_each_parameter_counts(vit, target, adapter, change):
    """A good file with one tensor spoiled never loads."""
    good = vit.state_dict() if adapter is None else written(vit, adapter)
    load_weights(target, good, encoder_only=True)
    for name in good:
        spoiled = dict(good)
        CHANGES[change](spoiled, name)
        if change == 'cut' and spoiled[name].ndim == 0:
            continue
        with pytest.raises(ValueError, match='.'):
            load_weights(target, spoiled, encoder_only=True)


class TestOtherBackbones:
    """Rules hold for every architecture, by its own names."""

    @pytest.fixture(params=HOSTS)
    def host(self, request):
        return HOSTS[request.param]

    @pytest.mark.parametrize('prefix', ['', 'backbone.', 'module.backbone.', 'segmentor.backbone.'])
    def test_own_names(self, host, prefix):
        source, target = randomized(host), randomized(host, 1)
        beside = {} if prefix else {'fc.weight': ONES, 'head.bias': ONES}
        report = load_weights(target, {prefix + name: value for name, value in source.state_dict().items()} | beside)
        assert equal(source, target)
        assert report.dropped.keys() == beside.keys()

    @pytest.mark.parametrize('change', ['removed', 'renamed', 'doubled', 'reshaped'])
    def test_each_tensor_counts(self, host, change):
        """Buffers too; but not the counters of batch norms, which nothing reads."""
        source, target = randomized(host), randomized(host, 1)
        good = source.state_dict()
        for name in [name for name in good if not name.endswith('num_batches_tracked')]:
            spoiled = dict(good)
            CHANGES[change](spoiled, name)
            with pytest.raises(ValueError, match='.'):
                load_weights(target, spoiled, encoder_only=True)

    def test_missing_parameter_is_named(self, host):
        weights = randomized(host).state_dict()
        last = [name for name in weights if not name.endswith('num_batches_tracked')][-1]
        del weights[last]
        kind = type(MODELS.build(host)).__name__
        with pytest.raises(ValueError, match=f"names of the {kind} it lacks 1 below 'net.', e.g. {last}"):
            load_weights(MODELS.build(host), {f'net.{name}': value for name, value in weights.items()})

    def test_nonsense(self, host):
        with pytest.raises(ValueError, match="under the names of the model: its names begin with .'a.weight', 'b'"):
            load_weights(MODELS.build(host), {'a.weight': ONES, 'b': ONES}, encoder_only=True)

    def test_a_vit_is_no_swin(self, vit):
        with pytest.raises(ValueError, match='SwinTransformer'):
            load_weights(MODELS.build(HOSTS['swin']), mae(vit), encoder_only=True)


def test_model_without_encoder():
    """All of it must be there."""
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    weights = {name: value + 1 for name, value in model.state_dict().items() if 'tracked' not in name}
    load_weights(model, weights, encoder_only=True)
    assert torch.equal(model[1].running_mean, torch.ones(3))
    weights.pop('1.running_var')
    with pytest.raises(ValueError, match='it lacks 1 below .*1.running_var'):
        load_weights(model, weights, encoder_only=True)
