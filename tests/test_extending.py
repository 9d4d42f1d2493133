"""The examples of docs/extending.md and docs/weights.md, as they stand there: nothing in the library is touched."""
import re

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from running import ROOT

from s5_mm.checkpoints import load_weights
from s5_mm.registry import ADAPTERS, MODELS

EXTENDING = (ROOT / 'docs/extending.md').read_text()
BLOCKS = re.findall(r'```python\n(.+?)```', EXTENDING, re.S)
CONFIG, ROUTER, METHOD = BLOCKS


def executed(code):
    """Run a module of the page; classes register anew for each test."""
    exec(code.replace('.register_module()', '.register_module(force=True)'), {})  # noqa: S102


def test_a_method(tiny_segmentor, make_sample):
    executed(METHOD)
    torch.manual_seed(0)
    model = MODELS.build(dict(
        type='s5_mm.UniMatchSegmentor', segmentor=tiny_segmentor(), consistency=dict(tau=0.0),
        data_preprocessor=dict(type='SegDataPreProcessor', bgr_to_rgb=True, size=(32, 32)))).train()
    seen = []
    model.observers.append(seen.append)
    samples = [make_sample(name, torch.zeros(32, 32)) for name in ['labeled'] * 2 + ['unlabeled'] * 4]
    images = torch.randn(6, 3, 32, 32)
    total, logged = model.parse_losses(model.loss(images, samples))
    total.backward()
    [step] = seen
    assert len(step.views) == len(step.logits) == 3
    assert torch.equal(step.views[2].images, images[2:])
    parts = [model.consistency(logits, view.target)[0] for logits, view in zip(step.logits, step.views, strict=True)]
    assert logged['loss_u'].item() == pytest.approx((0.25 * (parts[0] + parts[1]) + 0.5 * parts[2]).item(), rel=1e-5)
    features = model.perturb_features((torch.ones(6, 10, 2, 2), ), 0)[0]
    assert set(features[:4].flatten().tolist()) == {1}
    assert set(features[4:].flatten().tolist()) == {0, 2}


@pytest.fixture
def swin(tmp_path):
    """The model and the optimizer's config of the page, with a narrow Swin."""
    (tmp_path / 'moe-mdf_swin.py').write_text(CONFIG.replace("'./moe", f"'{ROOT}/configs/mdf_seg/moe"))
    cfg = Config.fromfile(tmp_path / 'moe-mdf_swin.py')
    cfg.model.backbone.encoder.update(embed_dims=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2), window_size=4)
    cfg.model.decode_head.update(channels=8, norm_cfg=dict(type='BN'))
    cfg.model.data_preprocessor.size = (64, 64)
    return cfg


def test_a_foreign_encoder_with_experts_and_layer_decay(swin, make_sample):
    torch.manual_seed(0)
    model = MODELS.build(swin.model).train()
    names = list(swin.model.datasets)
    samples = [make_sample(name, torch.zeros(64, 64)) for name in names for _ in range(2)]
    model.parse_losses(model.loss(torch.randn(8, 3, 64, 64), samples))[0].backward()
    experts = [name for name, _ in model.named_parameters() if '.experts.' in name]
    assert len(experts) == 4 * len(names) * 2
    assert all(parameter.grad is not None for parameter in model.parameters())
    wrapper = build_optim_wrapper(model, ConfigDict(swin.optim_wrapper))
    rates = {group['param_name']: group['lr'] for group in wrapper.optimizer.param_groups}
    head = rates['decode_heads.potsdam.conv_seg.weight']
    assert rates['backbone.stages.1.blocks.0.ffn.layers.1.experts.potsdam.weight'] == pytest.approx(head * 0.9**3)


def test_a_router(multi_segmentor, make_sample):
    executed(ROUTER)
    model = MODELS.build(multi_segmentor(experts=dict(
        part_features=4, router=dict(type='s5_mm.SharedRouter', share=dict(green='red'))))).train()
    samples = [make_sample(name, torch.zeros(32, 32)) for name in ('red', 'green', 'green', 'red')]
    total, logged = model.parse_losses(model.loss(torch.randn(4, 3, 32, 32), samples))
    total.backward()
    layer = model.backbone.layers[0].ffn.layers[1]
    assert layer.experts['red'].weight.grad.abs().max() > 0
    assert layer.experts['green'].weight.grad is None
    assert logged['loss_router'].item() == pytest.approx(0.01)
    assert model.backbone.router.scale.grad.item() == pytest.approx(0.02)


def test_a_weight_format(tiny_vit, tmp_path, monkeypatch):
    monkeypatch.setattr(ADAPTERS, '_module_dict', dict(ADAPTERS.module_dict))
    executed(re.search(r'```python\n(.+?)```', (ROOT / 'docs/weights.md').read_text(), re.S).group(1))
    source, model = (MODELS.build(tiny_vit()) for _ in range(2))
    weights = {name.replace('layers.', 'trunk.', 1) if name.startswith('layers.') else name: value
               for name, value in source.state_dict().items()}
    torch.save(weights, tmp_path / 'trunk.pth')
    report = load_weights(model, str(tmp_path / 'trunk.pth'))
    assert report.adapter == 'trunk ViT'
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), model.parameters(), strict=True))


def test_the_page_needs_forty_lines():
    """Method, encoder and weight format together are short."""
    code = [line for block in (METHOD, CONFIG) for line in block.splitlines()
            if line.strip() and not line.strip().startswith(('"""', '#'))]
    assert len(code) <= 40
