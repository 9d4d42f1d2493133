"""The decoder: same function as the published one."""
import torch
from mmseg.models.decode_heads import UPerHead as MMSegUPerHead
from torch.nn import functional as F

from s5_mm.checkpoints import load_weights
from s5_mm.models import S5UPerHead, ViT


def published_head(golden):
    head = S5UPerHead(in_channels=[golden.arch['embed_dims']] * 4, in_index=[0, 1, 2, 3], channels=256, num_classes=16,
                    norm_cfg=dict(type='BN'))
    prefix = 'semsegdecoder.decode_head.'
    weights = {name.removeprefix(prefix): value for name, value in golden.weights.items() if name.startswith(prefix)}
    weights.update({f'conv_seg.{part}': golden.weights[f'semseghead.1.{part}'] for part in ('weight', 'bias')})
    head.load_state_dict(weights)
    return head.eval()


def test_logits_are_the_published_ones(golden, published_encoder):
    vit = ViT(golden.arch, golden.img_size)
    load_weights(vit, published_encoder)
    vit.eval()
    with torch.no_grad():
        logits = published_head(golden).predict(vit(golden.images), [dict(img_shape=(64, 64))], {})
    assert logits.shape == (2, 16, 64, 64)
    assert (logits[:, :, ::4, ::4] - torch.tensor(golden.arrays['s4p_logits'])).abs().max() < 1e-4


def test_logits_are_resized_with_aligned_corners_and_levels_without():
    torch.manual_seed(0)
    settings = dict(in_channels=[8] * 4, in_index=[0, 1, 2, 3], channels=8, num_classes=3, norm_cfg=dict(type='BN'))
    head, plain = S5UPerHead(**settings), MMSegUPerHead(align_corners=False, **settings)
    plain.load_state_dict(head.state_dict())
    head.eval(), plain.eval()
    assert head.align_corners is True
    maps = [torch.rand(1, 8, size, size) for size in (16, 8, 4, 2)]
    with torch.no_grad():
        logits = head(maps)
        assert torch.allclose(logits, plain(maps), atol=1e-6)
        resized = head.predict_by_feat(logits, [dict(img_shape=(33, 33))])
    assert torch.allclose(resized, F.interpolate(logits, size=(33, 33), mode='bilinear', align_corners=True))


def test_training_is_that_of_the_plain_decoder():
    torch.manual_seed(0)
    settings = dict(in_channels=[8] * 4, in_index=[0, 1, 2, 3], channels=8, num_classes=3, norm_cfg=dict(type='BN'),
                    dropout_ratio=0.0)
    head, plain = S5UPerHead(**settings), MMSegUPerHead(align_corners=False, **settings)
    plain.load_state_dict(head.state_dict())
    maps = [torch.rand(4, 8, size, size) for size in (32, 16, 8, 4)]
    for part in (head, plain):
        part.conv_seg.weight.data.fill_(0.5)
        part(maps).square().mean().backward()
    for (name, own), other in zip(head.named_parameters(), plain.parameters(), strict=True):
        assert torch.allclose(own.grad, other.grad, rtol=1e-3, atol=1e-4 * other.grad.abs().max()), name


def test_resize_of_the_logits_is_an_option():
    head = S5UPerHead(align_corners=False, in_channels=[8] * 4, in_index=[0, 1, 2, 3], channels=8, num_classes=3)
    logits = torch.rand(1, 3, 4, 4)
    expected = F.interpolate(logits, size=(8, 8), mode='bilinear', align_corners=False)
    assert torch.allclose(head.predict_by_feat(logits, [dict(img_shape=(8, 8))]), expected)
