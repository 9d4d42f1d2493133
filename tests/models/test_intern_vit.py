"""InternViT's files, which ViTP's are, against timm's ViT of the same function."""
from functools import partial

import pytest
import torch
from torch import nn

from s5_mm.checkpoints import load_weights
from s5_mm.registry import MODELS

TINY = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=64, out_indices=(0, 1, 2, 3))
# timm's names -> InternViT's.
NAMES = {'cls_token': 'embeddings.class_embedding', 'pos_embed': 'embeddings.position_embedding',
         'patch_embed.proj': 'embeddings.patch_embedding', 'blocks.': 'encoder.layers.', '.gamma': ''}


@pytest.fixture(scope='module')
def theirs():
    timm = pytest.importorskip('timm')
    torch.manual_seed(0)
    model = timm.models.VisionTransformer(
        img_size=448, patch_size=14, embed_dim=16, depth=4, num_heads=2, init_values=0.1, num_classes=0,
        norm_layer=partial(nn.LayerNorm, eps=1e-6)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model


def in_their_names(model):
    found = {}
    for name, value in model.state_dict().items():
        for old, new in NAMES.items():
            name = name.replace(old, new)
        if not name.startswith('norm.'):
            found[name] = value
    return found


def build(name='vitp-l', **options):
    return MODELS.build(dict(type='s5_mm.NamedEncoder', name=name, arch=TINY, drop_path_rate=0.0, **options)).eval()


@pytest.mark.parametrize(('name', 'prefix'), [('vitp-l', 'vision_model.'), ('internvit-300m', '')])
def test_the_function_is_timms(theirs, name, prefix, tmp_path):
    weights = {prefix + key: value for key, value in in_their_names(theirs).items()}
    if prefix:  # the rest of a model of vision and language
        weights |= {'language_model.model.norm.weight': torch.zeros(2), 'mlp1.0.weight': torch.ones(3)}
    torch.save(weights, tmp_path / 'intern.pth')
    encoder = build(name)
    load_weights(encoder, str(tmp_path / 'intern.pth'), encoder_only=True)
    image = torch.randn(1, 3, 448, 448)
    with torch.no_grad():
        ours = encoder.block_maps(image)
        expected = theirs.forward_intermediates(image, indices=4, intermediates_only=True, norm=False)
    assert len(ours) == 4
    for a, b in zip(ours, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-5 * b.abs().max())


def test_the_table_is_resized_as_published(theirs):
    """Bicubic and in fp32, for any grid; the entry of the class token stays."""
    encoder = build()
    load_weights(encoder, in_their_names(theirs), encoder_only=True)
    table = theirs.pos_embed.detach()
    patches = table[:, 1:].reshape(1, 32, 32, 16).permute(0, 3, 1, 2)
    resized = nn.functional.interpolate(patches, (3, 5), mode='bicubic', align_corners=False)
    image = torch.randn(1, 3, 42, 70)
    with torch.no_grad():
        x = torch.cat([theirs.cls_token + table[:, :1],
                       theirs.patch_embed.proj(image).flatten(2).transpose(1, 2)
                       + resized.flatten(2).transpose(1, 2)], 1)
        expected = theirs.blocks(x)[:, 1:].transpose(1, 2).reshape(1, 16, 3, 5)
        assert torch.allclose(encoder.block_maps(image)[-1], expected, atol=1e-5 * expected.abs().max())


def test_no_parameter_may_be_missing_or_unknown(theirs):
    encoder, good = build(), in_their_names(theirs)
    for name in good:
        rest = {key: value for key, value in good.items() if key != name}
        with pytest.raises(ValueError):  # noqa: PT011  each says something else
            load_weights(encoder, rest, encoder_only=True)
        with pytest.raises(ValueError):  # noqa: PT011
            load_weights(encoder, rest | {name + 'x': good[name]}, encoder_only=True)
