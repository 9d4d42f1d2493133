"""Batch norms of the domain that counts: in the teacher during training, and estimated afterwards."""
import numpy as np
import pytest
import torch
from torch import nn

from s5_mm.models import FixMatchSegmentor
from s5_mm.models.batch_norm import batch_norms, estimate_batch_norms


@pytest.fixture
def batch(make_sample):
    generator = np.random.RandomState(0)
    images = torch.tensor(generator.rand(4, 3, 32, 32), dtype=torch.float32)
    return images, [make_sample(name, np.zeros((32, 32))) for name in ['labeled'] * 2 + ['unlabeled'] * 2]


def test_estimate_by_hand():
    network = nn.Sequential(nn.BatchNorm2d(2), nn.Dropout(0.5)).eval()
    network[0].running_mean.fill_(7)
    batches = [torch.randn(3, 2, 4, 4) + shift for shift in (0, 2)]
    assert estimate_batch_norms(network, iter(batches)) == 1
    mean = torch.stack([x.mean(dim=(0, 2, 3)) for x in batches]).mean(0)
    variance = torch.stack([x.transpose(0, 1).flatten(1).var(dim=1) for x in batches]).mean(0)
    assert torch.allclose(network[0].running_mean, mean, atol=1e-6)
    assert torch.allclose(network[0].running_var, variance, atol=1e-5)
    assert network[0].momentum == 0.1
    assert not any(module.training for module in network.modules())
    with pytest.raises(ValueError, match='Sequential has no batch norms'):
        estimate_batch_norms(nn.Sequential(nn.ReLU()), [])


def test_teacher_has_the_statistics_of_weak_views(tiny_segmentor, batch):
    torch.manual_seed(0)
    model = FixMatchSegmentor(tiny_segmentor(), teacher={}, pool_batch_norm=True).train()
    model.teacher_is_updated = True
    model.loss(*batch)
    model.update_teacher()
    first = batch_norms(model.teacher.module)[0]
    # After the first step the teacher is the student, statistics included.
    assert torch.equal(first.running_mean, batch_norms(model.segmentor)[0].running_mean)
    before = first.running_mean.clone()
    seen = []
    first.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    model.loss(*batch)
    assert len(seen) == 2  # once to count, once to label
    wanted = 0.9 * before + 0.1 * seen[0].mean(dim=(0, 2, 3))
    assert torch.allclose(first.running_mean, wanted, atol=1e-6)
    counted = first.running_mean.clone()
    model.update_teacher()
    assert torch.equal(first.running_mean, counted)
    assert model.teacher.steps == 2
    assert not any(module.training for module in model.teacher.module.modules())


@pytest.mark.parametrize(('teacher', 'message'), [(None, r'no teacher; set model.teacher=dict\(\)'),
                                                  ({}, 'no batch norm, or leave pool_batch_norm out')])
def test_nothing_to_count(tiny_segmentor, teacher, message):
    cfg = tiny_segmentor()
    if teacher is not None:
        cfg['decode_head'] = dict(type='FCNHead', num_convs=0, concat_input=False, in_channels=16, channels=16,
                                  num_classes=3, in_index=0)
        cfg['backbone']['norm_eps'] = 1e-5
        cfg['backbone'] = dict(type='mmpretrain.VisionTransformer', arch=dict(
            embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=32), img_size=32, patch_size=8,
            out_type='featmap')
    with pytest.raises(ValueError, match=message):
        FixMatchSegmentor(cfg, teacher=teacher, pool_batch_norm=True)
