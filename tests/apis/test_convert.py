"""Folding and growing models of several datasets, by the commands; what comes out is run by the usual tools."""
import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from s5_mm.apis.convert import load_segmentor, merge_checkpoint, merged_run
from s5_mm.checkpoints import load_weights, read_checkpoint
from s5_mm.radiometry import Radiometry, Stretch, read_records, write_records
from s5_mm.registry import MODELS

RECORDS = dict(red=Radiometry((4, 3, 2), Stretch((1, 99))), green=Radiometry())
RUNTIME = """
default_scope = 'mmseg'
custom_imports = dict(imports=['s5_mm'], allow_failed_imports=False)
default_hooks = dict(checkpoint=dict(type='CheckpointHook', save_best='mean/mIoU'),
                     visualization=dict(type='s5_mm.MultiDatasetVisualizationHook'))
custom_hooks = [dict(type='s5_mm.PreflightHook')]
visualizer = dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer')
train_cfg = optim_wrapper = train_dataloader = None
val_cfg = dict(type='s5_mm.MultiDatasetValLoop')
test_cfg = dict(type='s5_mm.MultiDatasetTestLoop')
"""


@pytest.fixture
def data(tmp_path):
    """Two images of 32 px and their masks for each dataset; the settings that test on them."""
    rng = np.random.default_rng(0)
    loaders, evaluators = {}, {}
    for name, classes in dict(red=3, green=4).items():
        for kind in ('images', 'masks'):
            (tmp_path / name / kind).mkdir(parents=True)
            for i in range(2):
                values = rng.integers(0, 256, (32, 32, 3)) if kind == 'images' else rng.integers(0, classes, (32, 32))
                Image.fromarray(values.astype(np.uint8)).save(tmp_path / name / kind / f'{i}.png')
        pipeline = [dict(type='s5_mm.LoadImage'), dict(type='s5_mm.LoadLabels'), dict(type='PackSegInputs')]
        labels = dict(classes=tuple('abcd'[:classes]), palette=[[40 * i, 0, 0] for i in range(classes)])
        loaders[name] = dict(
            batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dict(type='s5_mm.SegDataset', data_root=str(tmp_path / name), metainfo=labels, test_mode=True,
                         img_suffix='.png', data_prefix=dict(img_path='images', seg_map_path='masks'),
                         pipeline=pipeline))
        evaluators[name] = [dict(type='s5_mm.S5IoUMetric', iou_metrics=['mIoU'])]
    return dict(test_dataloader=loaders, test_evaluator=evaluators, val_dataloader=loaders, val_evaluator=evaluators)


@pytest.fixture
def trained(tmp_path, multi_segmentor, data):
    """A config file and a checkpoint of its model with random weights."""
    model = multi_segmentor(data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[127.0] * 3, std=[50.0] * 3, size=(32, 32), test_cfg=dict(size_divisor=8)))
    lines = [f'{name} = {value!r}' for name, value in dict(model=model, **data).items()]
    (tmp_path / 'multi.py').write_text(RUNTIME + '\n'.join(lines))
    cfg = Config.fromfile(tmp_path / 'multi.py')
    torch.manual_seed(0)
    segmentor = MODELS.build(cfg.model)
    for parameter in segmentor.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    meta = dict(iter=7, radiometry=write_records(RECORDS))
    torch.save(dict(state_dict=segmentor.state_dict(), meta=meta), tmp_path / 'iter_7.pth')
    return str(tmp_path / 'multi.py'), str(tmp_path / 'iter_7.pth')


@pytest.fixture
def merge(load_tool):
    return load_tool('tools/model_converters/merge_experts.py').main


@pytest.fixture
def grow(load_tool):
    return load_tool('tools/model_converters/add_dataset.py').main


class TestFold:

    @pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
    def test_the_plain_model_scores_what_the_whole_one_does(self, load_tool, trained, merge, tmp_path, suffix, capsys):
        config, checkpoint = trained
        merge([config, checkpoint, 'green', str(tmp_path / f'green{suffix}')])
        plain = str(tmp_path / 'green.py')
        assert f'python tools/test.py {plain}' in capsys.readouterr().out
        assert Config.fromfile(plain).model.type == 's5_mm.S5EncoderDecoder'
        test = load_tool('tools/test.py').main
        test([config, checkpoint, '--work-dir', str(tmp_path / 'a'), '--json', str(tmp_path / 'a.json')])
        test([plain, str(tmp_path / f'green{suffix}'), '--work-dir', str(tmp_path / 'b'),
              '--json', str(tmp_path / 'b.json')])
        whole, merged = (json.loads((tmp_path / f'{name}.json').read_text()) for name in 'ab')
        assert merged['mIoU'] == whole['green/mIoU']
        assert merged['mIoU'] > 0

    def test_origin(self, trained, merge, tmp_path):
        merge([*trained, 'red', str(tmp_path / 'red.pth')])
        content = torch.load(tmp_path / 'red.pth', weights_only=True)
        assert content['meta'].items() >= dict(source='iter_7.pth', dataset='red').items()
        assert read_records(content['meta'], '') == {'': RECORDS['red']}
        assert not [name for name in content['state_dict'] if 'experts' in name or 'decode_heads' in name]

    def test_published_file(self, golden_mdf, tmp_path):
        torch.save({'model': {f'module.{name}': value for name, value in golden_mdf.weights.items()}},
                   tmp_path / 'mdf.pth')
        width = golden_mdf.arch['embed_dims']
        cfg = Config(dict(model=dict(
            type='s5_mm.MultiDatasetSegmentor',
            backbone=dict(type='s5_mm.ViT', arch=golden_mdf.arch, img_size=golden_mdf.img_size),
            experts=dict(part_features=golden_mdf.part_features, order=golden_mdf.expert_order),
            decode_head=dict(type='s5_mm.S5UPerHead', in_channels=[width] * 4, in_index=[0, 1, 2, 3], channels=256,
                             norm_cfg=dict(type='BN')),
            datasets=dict(loveda=dict(num_classes=7), potsdam=dict(num_classes=5)))))
        config = merge_checkpoint(cfg, str(tmp_path / 'mdf.pth'), 'loveda', str(tmp_path / 'loveda.pth'))
        plain = MODELS.build(Config.fromfile(config).model)
        plain.load_state_dict(read_checkpoint(str(tmp_path / 'loveda.pth'))['state_dict'])
        plain.eval()
        with torch.no_grad():
            logits = plain.encode_decode(golden_mdf.images, [dict(img_shape=(64, 64))])
        assert (logits[:, :, ::4, ::4] - torch.tensor(golden_mdf.arrays['mdf_loveda_logits'])).abs().max() < 1e-4

    def test_config_without_data(self, trained):
        cfg = Config.fromfile(trained[0])
        run = merged_run(Config(dict(model=cfg.model)), 'red')
        assert set(run) == {'model'}

    def test_files_are_kept_unless_forced(self, trained, merge, tmp_path):
        (tmp_path / 'red.py').write_text('precious')
        with pytest.raises(FileExistsError, match='red.py exists; choose another name or .* --force'):
            merge([*trained, 'red', str(tmp_path / 'red.pth')])
        assert not (tmp_path / 'red.pth').exists()
        merge([*trained, 'red', str(tmp_path / 'red.pth'), '--force'])
        assert 'precious' not in (tmp_path / 'red.py').read_text()

    def test_errors(self, trained, merge, tmp_path, tiny_segmentor):
        out = str(tmp_path / 'x.pth')
        with pytest.raises(ValueError, match=r"has no dataset 'blue'; its datasets are \['red', 'green'\]"):
            merge([*trained, 'blue', out])
        with pytest.raises(ValueError, match='x.bin ends in .*; choose one of .pth, .safetensors'):
            merge([*trained, 'red', str(tmp_path / 'x.bin')])
        torch.save(dict(state_dict=MODELS.build(tiny_segmentor()).state_dict()), tmp_path / 'dense.pth')
        with pytest.raises(ValueError, match='dense.pth .* lacks 4 tensors of the model, e.g. decode_heads.red.conv_'):
            merge([trained[0], str(tmp_path / 'dense.pth'), 'red', out])
        assert not (tmp_path / 'x.pth').exists()


class TestGrow:

    def test_new_data_set_starts_as_the_source(self, trained, grow, tmp_path):
        grow([*trained, 'blue', str(tmp_path / 'grown.pth'), '--from', 'green', '--num-classes', '6'])
        cfg = Config.fromfile(tmp_path / 'grown.py')
        assert list(cfg.model.datasets) == ['red', 'green', 'blue']
        assert cfg.load_from == str(tmp_path / 'grown.pth')
        assert read_records(read_checkpoint(cfg.load_from)['meta'], '') == RECORDS
        torch.manual_seed(3)
        model, old = MODELS.build(cfg.model), load_segmentor(Config.fromfile(trained[0]), trained[1])
        new_classifier = model.decode_heads['blue'].conv_seg.weight.clone()
        load_weights(model, cfg.load_from, encoder_only=True)
        for name, value in old.state_dict().items():
            assert torch.equal(model.state_dict()[name], value)
        for layer in model.backbone.layers:
            assert torch.equal(layer.ffn.layers[1].experts['blue'].weight, layer.ffn.layers[1].experts['green'].weight)
        heads = model.decode_heads
        assert torch.equal(heads['blue'].bottleneck.conv.weight, heads['green'].bottleneck.conv.weight)
        assert heads['blue'].num_classes == 6
        assert torch.equal(heads['blue'].conv_seg.weight, new_classifier)
        assert all(parameter.requires_grad for parameter in model.parameters())

    def test_classifier_too(self, trained, grow, tmp_path):
        grow([*trained, 'blue', str(tmp_path / 'grown.pth'), '--from', 'green', '--num-classes', '4',
              '--with-classifier'])
        weights = torch.load(tmp_path / 'grown.pth', weights_only=True)['state_dict']
        assert torch.equal(weights['decode_heads.blue.conv_seg.weight'], weights['decode_heads.green.conv_seg.weight'])

    def test_train_new_only(self, trained, grow, tmp_path):
        grow([*trained, 'blue', str(tmp_path / 'grown.pth'), '--from', 'red', '--num-classes', '3',
              '--train-new-only'])
        model = MODELS.build(Config.fromfile(tmp_path / 'grown.py').model)
        trained_ones = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        assert trained_ones == {name for name, _ in model.named_parameters() if '.blue.' in name}

    def test_grown_model_folds_like_its_source(self, trained, grow, merge, tmp_path):
        grow([*trained, 'blue', str(tmp_path / 'grown.pth'), '--from', 'green', '--num-classes', '4',
              '--with-classifier'])
        merge([str(tmp_path / 'grown.py'), str(tmp_path / 'grown.pth'), 'blue', str(tmp_path / 'blue.pth')])
        merge([*trained, 'green', str(tmp_path / 'green.pth')])
        blue, green = (torch.load(tmp_path / f'{name}.pth', weights_only=True)['state_dict']
                       for name in ('blue', 'green'))
        assert blue.keys() == green.keys()
        assert all(torch.equal(blue[name], green[name]) for name in blue)

    @pytest.mark.parametrize(('name', 'options', 'message'), [
        ('red', ['--from', 'green', '--num-classes', '4'], r"named \['red', 'green', 'red'\]: .* each name once"),
        ('a.b', ['--from', 'green', '--num-classes', '4'], 'without dots'),
        ('blue', ['--from', 'gray', '--num-classes', '4'], r"has no dataset 'gray'; choose one of \['red', 'green'\]"),
        ('blue', ['--from', 'red', '--num-classes', '0'], r"datasets\['blue'\]\.num_classes is 0"),
        ('blue', ['--from', 'red', '--num-classes', '4', '--with-classifier'],
         "classifier of 'red' has 3 classes, 'blue' has 4; it can only be copied for equal classes"),
    ])
    def test_errors(self, trained, grow, tmp_path, name, options, message):
        with pytest.raises(ValueError, match=message):
            grow([*trained, name, str(tmp_path / 'grown.pth'), *options])
        assert not (tmp_path / 'grown.pth').exists()
