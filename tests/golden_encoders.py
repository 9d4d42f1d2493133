"""Values of published encoders, the files that their authors would have written, and our encoders for them."""
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from s5_mm.models import ENCODERS
from s5_mm.registry import MODELS

FOLDER = Path(__file__).parent / 'golden' / 'encoders'
# Published module -> row of the table.
ROWS = {
    'ma3e_vit': 'ma3e-b', 'selectivemae_dense': 'selectivemae-b', 'dinov2': 'dinov2-b', 'dinov2_reg4': 'dinov2-b-reg',
    'dinov2_giant': 'dinov2-g', 'dinov3': 'dinov3-b', 'dinov3_plus': 'dinov3-h-plus', 'dinov3_7b': 'dinov3-7b',
    'rvsa_seg': 'rvsa-b', 'rvsa_det': 'rvsa-b-det', 'rvsa_kvdiff_seg': 'rvsa-b-diamond', 'samrs': 'samrs-b',
    'mtp': 'mtp-b', 'mtp_det': 'mtp-b-det', 's5_rvsa': 'mtp-b', 'scalemae_vit': 'scalemae-l',
    'satmaepp_group_vit': 'satmaepp-l-sentinel', 'swin_dense': 'swin-b', 'gfm_swin': 'gfm-b',
    'internimage': 'internimage-xl'}


def read(name):
    """The cases of a published module: weights and image, drawn as its README says, and some values of each map."""
    told, arrays = json.loads((FOLDER / f'{name}.json').read_text()), np.load(FOLDER / f'{name}.npz')
    cases = []
    for case in told['cases']:
        random = np.random.RandomState(told['weight_seed'])
        weights = {key: torch.tensor(case['scale'] * random.standard_normal(case['parameters'][key])
                                     + (key in case['ones'])) for key in sorted(case['parameters'])}
        image = np.random.RandomState(case['image_seed']).standard_normal(case['image_shape'])
        cases.append(SimpleNamespace(
            **case, name=name, arch=told['arch'], weights=weights, image=torch.tensor(image),
            maps={key.partition('/')[2]: torch.tensor(arrays[key]) for key in arrays
                  if key.startswith(f"{case['case']}/")}))
    return cases


def file_of(case):
    """Weights and buffers as in the authors' files."""
    weights = dict(case.weights)
    for name, (shape, _) in case.buffers.items():
        if name == 'rope_embed.periods':
            weights[name] = 100.0**(torch.arange(shape[0], dtype=torch.float64) / shape[0])
        else:
            weights[name] = torch.zeros(shape)
    return {f'module.encoder.{name}': value for name, value in weights.items()} if case.name == 'samrs' else weights


def build(case):
    """The row's encoder with the case's size, in float64."""
    cfg, arch = dict(ENCODERS[ROWS[case.name]].cfg), case.arch
    if cfg['type'] == 's5_mm.HostEncoder':
        window = int(case.case[6]) if case.name == 'swin_dense' else arch['window_size']
        cfg |= dict(divisor=8, encoder=dict(
            cfg['encoder'], embed_dims=arch['embed_dim'], depths=arch['depths'], num_heads=arch['num_heads'],
            window_size=window, drop_path_rate=0.0))
    elif cfg['type'] == 's5_mm.InternImage':
        cfg |= dict(channels=arch['channels'], depths=arch['depths'], groups=arch['groups'], drop_path_rate=0.0)
    else:
        cfg |= _vit(cfg, case)
    return MODELS.build(cfg).eval().double()


def _vit(cfg, case):
    arch, options = case.arch, {}
    if 'interval' in arch:
        options['attention'] = [cfg['attention'][0]] * (arch['interval'] - 1) + [cfg['attention'][-1]]
    if 'channel_embed' in arch:
        options['group_dims'] = arch['channel_embed']
    gated = [shape[1] for name, shape in case.parameters.items() if name == 'blocks.0.mlp.w3.weight']
    return options | dict(
        arch=dict(embed_dims=arch['embed_dim'], num_layers=arch['depth'], num_heads=arch['num_heads'],
                  feedforward_channels=gated[0] if gated else 4 * arch['embed_dim']),
        out_indices=(3, ) * 4 if case.name.endswith('_det') else (0, 1, 2, 3),
        img_size=getattr(case, 'img_size', case.image_shape[-1]), drop_path_rate=0.0)
