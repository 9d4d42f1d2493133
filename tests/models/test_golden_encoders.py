"""Encoders compute what the published modules do, from a file of theirs, and refuse files that are not theirs."""
import pytest
import torch
from golden_encoders import ROWS, build, file_of, read
from packaging.version import Version

from s5_mm.checkpoints import load_weights


@torch.no_grad()
def maps_of(encoder, case):
    """Values of our maps and of the published ones, at the same places."""
    if case.name == 'scalemae_vit':
        levels = blocks = [torch.cat(maps) for maps in zip(*(
            of_resolution(encoder, image[None], gsd) for image, gsd in zip(case.image, case.input_res, strict=True)),
            strict=True)]
    else:
        levels = encoder(case.image)
        blocks = encoder.block_maps(case.image) if hasattr(encoder, 'block_maps') else levels
    for name, values in case.maps.items():
        ours = levels[int(name[-1])] if name.startswith('level') else blocks[-1 if name == 'last' else int(name[-1])]
        shape = case.outputs[name]
        if len(shape) == 3:  # tokens; of the class token there is no map
            ours = ours.flatten(2).transpose(1, 2)
            missing = ours.new_full((len(ours), shape[1] - ours.shape[1], shape[2]), torch.nan)
            ours = torch.cat([missing, ours], dim=1)
        assert list(ours.shape) == shape
        step = max(1, ours.numel() // 200) | 1
        yield ours.flatten()[::step], values


def of_resolution(encoder, image, gsd):
    encoder.gsd = gsd
    return encoder.block_maps(image)


@pytest.mark.parametrize('name', ROWS)
def test_published_function(name, tmp_path):
    for case in read(name):
        encoder = build(case)
        torch.save({'model': file_of(case)}, tmp_path / 'published.pth')
        load_weights(encoder, str(tmp_path / 'published.pth'), encoder_only=True)
        if name == 'gfm_swin':
            # At the size of pre-training its last windows are the whole map and do not shift; dense ones always do.
            encoder.stages[3].blocks[1].attn.shift_size = 0
        compared = list(maps_of(encoder, case))
        assert len(compared) == (1 if name == 'gfm_swin' else 4)
        for ours, published in compared:
            known = ~ours.isnan()
            assert known.sum() > 90
            difference = (ours - published)[known].abs().max()
            assert difference <= tolerance(name) * published.abs().max(), (case.case, difference)


def tolerance(name):
    """Position tables of DINOv2 are resized in fp32; torch 2.6 rounds that in another way than those of the values."""
    older = Version(torch.__version__) < Version('2.12')
    return 1e-7 if older and name.startswith('dinov2') else 1e-9


PARTS = {'dinov2_giant': ('attention.query', 'attention.key', 'attention.value'),
         'dinov3': ('q_proj', 'k_proj', 'v_proj'), 'dinov3_plus': ('q_proj', 'k_proj', 'v_proj')}
# Of transformers, in the order of replacement.
NAMES = {
    'dinov2_giant': (
        ('pos_embed', 'embeddings.position_embeddings'), ('patch_embed.proj', 'embeddings.patch_embeddings.projection'),
        ('cls_token', 'embeddings.cls_token'), ('mask_token', 'embeddings.mask_token'),
        ('attn.proj', 'attention.output.dense'), ('mlp.w12', 'mlp.weights_in'), ('mlp.w3', 'mlp.weights_out'),
        ('ls1.gamma', 'layer_scale1.lambda1'), ('ls2.gamma', 'layer_scale2.lambda1'), ('attn.', 'attention.'),
        ('blocks.', 'encoder.layer.')),
    'dinov3': (
        ('patch_embed.proj', 'embeddings.patch_embeddings'), ('cls_token', 'embeddings.cls_token'),
        ('mask_token', 'embeddings.mask_token'), ('storage_tokens', 'embeddings.register_tokens'),
        ('attn.proj', 'attention.o_proj'), ('mlp.fc1', 'mlp.up_proj'), ('mlp.fc2', 'mlp.down_proj'),
        ('mlp.w1', 'mlp.gate_proj'), ('mlp.w2', 'mlp.up_proj'), ('mlp.w3', 'mlp.down_proj'),
        ('ls1.gamma', 'layer_scale1.lambda1'), ('ls2.gamma', 'layer_scale2.lambda1'), ('attn.', 'attention.'),
        ('blocks.', 'layer.'))}


def as_transformers(case):
    """The weights under the names of Hugging Face's transformers; keys of DINOv3 have no bias there."""
    file = {}
    for key, value in case.weights.items():
        parts = [key.replace('qkv', part) for part in PARTS[case.name]] if '.qkv.' in key else [key]
        file |= dict(zip(parts, value.chunk(len(parts)), strict=True))
    file = {key: value for key, value in file.items() if not key.endswith('k_proj.bias')}
    for old, new in NAMES.get(case.name, NAMES['dinov3']):
        file = {key.replace(old, new): value for key, value in file.items()}
    return {'layernorm' + key[4:] if 'giant' in case.name and key.startswith('norm.') else key: value
            for key, value in file.items()}


@pytest.mark.parametrize('name', PARTS)
def test_files_of_transformers(name):
    """Up to the periods, which they lack and which are computed in fp32."""
    case = read(name)[-1]
    encoder, file = build(case), as_transformers(case)
    load_weights(encoder, file, encoder_only=True)
    for ours, published in maps_of(encoder, case):
        assert (ours - published).abs().max() <= 1e-6 * published.abs().max()
    for key in [key for key in file if not key.endswith('mask_token')][::7]:
        with pytest.raises(ValueError, match='.'):
            load_weights(encoder, {other: value for other, value in file.items() if other != key}, encoder_only=True)


@pytest.mark.parametrize('name', [
    'ma3e_vit', 'dinov2_reg4', 'dinov3_plus', 'rvsa_kvdiff_seg', 'mtp', 'samrs', 'scalemae_vit', 'satmaepp_group_vit',
    'swin_dense', 'gfm_swin', 'internimage'])
def test_each_parameter_counts(name):
    """Of all that the encoder gets, nothing may be missing, have another name or another shape."""
    case = read(name)[0]
    encoder, file = build(case), file_of(case)
    load_weights(encoder, file, encoder_only=True)
    free = {'mask_token', *(() if getattr(encoder, 'norm', True) else ('norm.weight', 'norm.bias')),
            *(['pos_embed'] if name == 'scalemae_vit' else [])}
    names = [key for key in file if key.removeprefix('module.encoder.') not in free
             and not key.endswith(('bias_mask', 'attn_mask', 'position_index'))]
    assert len(names) > 50
    for i, key in enumerate(names[::1 + len(names) // 60]):
        spoiled = dict(file)
        value = spoiled.pop(key)
        spoiled |= ({}, {f'{key}_x': value}, {key: torch.stack([value] * 2)})[i % 3]
        with pytest.raises(ValueError, match='.'):
            load_weights(encoder, spoiled, encoder_only=True)


# Files that another row takes, as their authors do: plain ViTs start without class token (SelectiveMAE), RVSA starts
# from MAE, detection takes the last block of the same weights, MTP's without the positions of its full attention, and
# GFM becomes a dense Swin. A plain file may be of Scale-MAE, whose encoder has the same names.
PLAIN, RVSA = ('ma3e_vit', 'selectivemae_dense'), ('rvsa_seg', 'rvsa_kvdiff_seg')
TAKEN = {
    ('ma3e_vit', 'selectivemae_dense'), ('ma3e_vit', 'scalemae_vit'), ('ma3e_vit', 'rvsa_det'), ('ma3e_vit', 'mtp_det'),
    *((plain, rvsa) for plain in PLAIN for rvsa in RVSA), ('rvsa_seg', 'rvsa_det'), ('rvsa_det', 'rvsa_seg'),
    ('rvsa_seg', 'mtp_det'), ('rvsa_det', 'mtp_det'), ('gfm_swin', 'swin_dense'), ('swin_dense', 'gfm_swin')}
SAME_FILES = ('s5_rvsa', 'mtp', 'dinov3_7b', 'scalemae_vit')  # with names as others in the list
SAME_ENCODERS = ('s5_rvsa', 'mtp', 'dinov3_7b')


def test_files_of_others_are_refused():
    """Each file to each other encoder."""
    cases = {name: read(name)[-1] for name in ROWS}
    encoders = {name: build(case) for name, case in cases.items() if name not in SAME_ENCODERS}
    files = {name: file_of(case) for name, case in cases.items() if name not in SAME_FILES}
    accepted = set()
    for file, weights in files.items():
        for name, encoder in encoders.items():
            try:
                load_weights(encoder, weights, encoder_only=True)
            except ValueError:
                continue
            accepted.add((file, name))
    assert accepted == TAKEN | {(name, name) for name in files}
