"""Weights in the layouts of the published files, for tests of conversion."""
import torch


def s4p_encoder(golden):
    """``*_s4p.pth``: the encoder alone."""
    return {name.removeprefix('encoder.'): value for name, value in golden.weights.items()
            if name.startswith('encoder.')}


def detector(golden_mdf, seed=4):
    """MoE-MDF detection: an encoder with two experts; slim necks and heads of both datasets with random values."""
    rng = torch.Generator().manual_seed(seed)
    weights = {name.replace('encoder.', 'backbone.', 1): value for name, value in golden_mdf.weights.items()
               if name.startswith('encoder.') and '.experts.2.' not in name and '.experts.3.' not in name}
    width = golden_mdf.arch['embed_dims']
    for dataset, classes in dict(dior=20, dota=18).items():
        shapes = {
            **{f'neck_{dataset}.lateral_convs.{i}.conv': (8, width, 1, 1) for i in range(4)},
            **{f'neck_{dataset}.fpn_convs.{i}.conv': (8, 8, 3, 3) for i in range(4)},
            f'rpn_head_{dataset}.rpn_conv': (8, 8, 3, 3),
            f'rpn_head_{dataset}.rpn_cls': (3, 8, 1, 1),
            f'rpn_head_{dataset}.rpn_reg': (18, 8, 1, 1),
            f'roi_head_{dataset}.bbox_head.shared_fcs.0': (16, 8 * 49),
            f'roi_head_{dataset}.bbox_head.shared_fcs.1': (16, 16),
            f'roi_head_{dataset}.bbox_head.fc_cls': (classes + 1, 16),
            f'roi_head_{dataset}.bbox_head.fc_reg': (5, 16),
        }
        for name, shape in shapes.items():
            # As large as inputs of size 1 keep outputs at.
            scale = torch.tensor(shape[1:]).prod().sqrt()
            weights[f'{name}.weight'] = torch.randn(shape, generator=rng) / scale
            weights[f'{name}.bias'] = torch.randn(shape[0], generator=rng)
    return weights


def published_files(golden, golden_mdf):
    """Kind -> where the file holds its weights, and the weights."""
    return {
        'published S4P encoder': ('model', s4p_encoder(golden)),
        'published S4P segmentor': ('model', golden.weights),
        'published MoE-MDF segmentor': ('model', golden_mdf.weights),
        'published MoE-MDF detector': ('state_dict', detector(golden_mdf)),
    }
