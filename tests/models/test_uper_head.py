"""The decoder: same function as the published one."""
import torch
from torch.nn import functional as F

from s5_mm.checkpoints import load_encoder
from s5_mm.models import UPerHead, ViT


def published_head(golden):
    head = UPerHead(in_channels=[golden.arch['embed_dims']] * 4, in_index=[0, 1, 2, 3], channels=256, num_classes=16,
                    norm_cfg=dict(type='BN'))
    prefix = 'semsegdecoder.decode_head.'
    weights = {name.removeprefix(prefix): value for name, value in golden.weights.items() if name.startswith(prefix)}
    weights.update({f'conv_seg.{part}': golden.weights[f'semseghead.1.{part}'] for part in ('weight', 'bias')})
    head.load_state_dict(weights)
    return head.eval()


def test_logits_are_the_published_ones(golden, published_encoder):
    vit = ViT(golden.arch, golden.img_size)
    load_encoder(vit, published_encoder)
    vit.eval()
    with torch.no_grad():
        logits = published_head(golden).predict(vit(golden.images), [dict(img_shape=(64, 64))], {})
    assert logits.shape == (2, 16, 64, 64)
    assert (logits[:, :, ::4, ::4] - torch.tensor(golden.arrays['s4p_logits'])).abs().max() < 1e-4


def test_logits_are_resized_with_aligned_corners_and_levels_without():
    torch.manual_seed(0)
    head = UPerHead(in_channels=[8] * 4, in_index=[0, 1, 2, 3], channels=8, num_classes=3, norm_cfg=dict(type='BN'))
    head.eval()
    assert head.align_corners is True
    maps = [torch.rand(1, 8, size, size) for size in (16, 8, 4, 2)]
    seen = []
    head.bottleneck.register_forward_pre_hook(lambda *_: seen.append(head.align_corners))
    with torch.no_grad():
        logits = head(maps)
        resized = head.predict_by_feat(logits, [dict(img_shape=(33, 33))])
    assert seen == [False]
    assert head.align_corners is True
    assert torch.allclose(resized, F.interpolate(logits, size=(33, 33), mode='bilinear', align_corners=True))


def test_resize_of_the_logits_is_an_option():
    head = UPerHead(align_corners=False, in_channels=[8] * 4, in_index=[0, 1, 2, 3], channels=8, num_classes=3)
    logits = torch.rand(1, 3, 4, 4)
    expected = F.interpolate(logits, size=(8, 8), mode='bilinear', align_corners=False)
    assert torch.allclose(head.predict_by_feat(logits, [dict(img_shape=(8, 8))]), expected)


def test_setting_is_restored_after_an_error():
    head = UPerHead(in_channels=[8] * 4, in_index=[0, 1, 2, 3], channels=8, num_classes=3)
    try:
        head([torch.rand(1, 7, 4, 4)] * 4)
    except RuntimeError:
        assert head.align_corners is True
    else:
        raise AssertionError('seven channels were taken for eight')
