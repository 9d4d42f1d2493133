"""Parameters and multiply-adds from configs alone."""
import json
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from s5_mm.analysis import count_model, input_size

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs' / 's4p'
# A 1x1 convolution on the encoder's level of stride 1.
CLASSIFIER = dict(
    type='FCNHead', in_channels=16, in_index=2, channels=16, num_convs=0, concat_input=False, num_classes=3)


@pytest.fixture(scope='module')
def main(load_tool):
    return load_tool('tools/analysis/model_stats.py').main


def told(main, capsys, *argv):
    main([*map(str, argv), '--json'])
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(('letter', 'parameters', 'multiply_adds'), [
    ('b', 103.2, 178.1), ('l', 327.4, None), ('h', 663.4, None)])
@pytest.mark.parametrize('method', ['supervised', 'fixmatch'])
def test_published_figures(main, capsys, method, letter, parameters, multiply_adds):
    config, = CONFIGS.glob(f'{method}_vit-{letter}-*.py')
    stats = told(main, capsys, config)
    assert stats['parameters_m'] == parameters
    assert stats['size'] == [512, 512]
    assert stats['encoder'] + stats['decoder'] == stats['parameters']
    if multiply_adds:
        assert stats['multiply_adds_g'] == multiply_adds


MDF = 'configs/_base_/models/mdf_upernet_vit-moe-b.py'
OF_ARCH = {'base': [], 'large': ['model.backbone.name=vit-l'], 'huge': ['model.backbone.name=vit-h']}


@pytest.mark.parametrize(('arch', 'part', 'millions'), [
    ('base', 256, 160.40), ('large', 256, 435.01), ('huge', 256, 824.45), ('base', 0, 132.08), ('base', 128, 146.24),
    ('base', 512, 188.72)])
def test_published_figures_of_four_data_sets(main, capsys, arch, part, millions):
    """With the published nine classes of the fourth."""
    experts = f'model.experts.part_features={part}' if part else 'model.experts=None'
    stats = told(main, capsys, ROOT / MDF, '--cfg-options', experts, 'model.datasets.openearthmap.num_classes=9',
                 *OF_ARCH[arch])
    assert round(stats['parameters'] / 1e6, 2) == millions
    assert stats['encoder'] + stats['decoder'] == stats['parameters']


# Millions with the position table of 1024 px, which detectors train at; then as the paper prints them: with a table of
# 512 px, of ViT-H alone of 800 px, and the 334.66 of ViT-L alone cut off to 334.6.
DETECTORS = {
    'moe-mdf_vit-b': (140.64, 512, 138.28), 'moe-mdf_vit-l': (380.90, 512, 377.76), 'moe-mdf_vit-h': (
        733.90, 512, 729.97), 'sdf_vit-b': (113.54, 512, 111.18), 'sdf_vit-l': (337.81, 512, 334.66), 'sdf_vit-h': (
            673.76, 800, 671.72)}


@pytest.mark.parametrize('name', DETECTORS)
def test_published_figures_of_detectors(main, capsys, name):
    millions, side, printed = DETECTORS[name]
    kind, data = ('mdf', 'dior-dota2') if name.startswith('moe') else ('sdf', 'dior')
    config, = (ROOT / f'configs/{kind}_det').glob(f'{name}-s4p_oriented-rcnn_*_{data}-1024x1024.py')
    stats = told(main, capsys, config, '--size', 64)
    assert round(stats['parameters'] / 1e6, 2) == millions
    assert stats['encoder'] + stats['decoder'] == stats['parameters']
    smaller = told(main, capsys, config, '--size', 64, '--cfg-options', f'model.backbone.img_size={side}')
    assert round(smaller['parameters'] / 1e6, 2) == printed


def test_second_stage_of_a_detector_by_hand(main, capsys):
    """A head of two layers of 1024 on 7 x 7 features of 256 channels, for 20 and 18 classes with background."""
    config, = (ROOT / 'configs/mdf_det').glob('moe-mdf_vit-b-s4p*')

    def cost(dataset, proposals):
        return told(main, capsys, config, '--dataset', dataset, '--size', 64, '--cfg-options',
                    f'model.test_cfg.rpn.max_per_img={proposals}')['multiply_adds']
    shared = 7 * 7 * 256 * 1024 + 1024 * 1024
    assert cost('dior', 1000) - cost('dior', 900) == 100 * (shared + 1024 * (21 + 5))
    assert cost('dior', 1000) - cost('dota', 1000) == 1000 * 1024 * (21 - 19)


def test_one_data_set_costs_what_the_dense_model_costs(main, capsys):
    """An image goes through the shared layers, one expert and one decoder."""
    one, other = (told(main, capsys, ROOT / MDF, '--dataset', name) for name in ('potsdam', 'loveda'))
    assert (one['dataset'], other['dataset']) == ('potsdam', 'loveda')
    classifier = 128 * 128 * 256
    assert other['multiply_adds'] - one['multiply_adds'] == 2 * classifier
    dense = told(main, capsys, ROOT / 'configs/_base_/models/upernet_vit-b.py')
    assert dense['multiply_adds'] - one['multiply_adds'] == 11 * classifier
    main([str(ROOT / MDF)])
    assert 'for one image of 512x512 px of dataset vaihingen' in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"has no dataset 'paris'; its datasets are \['vaihingen', 'potsdam', 'love"):
        main([str(ROOT / MDF), '--dataset', 'paris'])


@pytest.fixture
def small(tmp_path, tiny_segmentor):
    cfg = Config(dict(model=tiny_segmentor(data_preprocessor=dict(type='SegDataPreProcessor', size=(32, 48)))))
    cfg.dump(str(tmp_path / 'small.py'))
    return str(tmp_path / 'small.py')


def test_parts_and_attention_by_hand(tiny_vit):
    """The encoder alone, 4 layers of width 16 with a hidden width of 32, at 4 x 4 patches of 8 px."""
    network = dict(type='EncoderDecoder', backbone=tiny_vit(), decode_head=CLASSIFIER)
    stats = count_model(Config(dict(model=network)), (32, 32))
    n, c, hidden = 16, 16, 32
    attention = 2 * n * n * c
    layer = 4 * n * c * c + attention + 2 * n * c * hidden
    patches = n * 3 * 8 * 8 * c
    pyramid = (4 * n * c * c + 16 * n * c * c) + 4 * n * c * c  # x4: two transposed convolutions, x2: one
    head = n * c * 3
    assert stats.multiply_adds == 4 * layer + patches + pyramid + head
    assert stats.decoder == 16 * 3 + 3
    assert stats.parameters == stats.encoder + stats.decoder


def test_auxiliary_heads_are_counted_apart(tiny_segmentor):
    plain, more = (count_model(Config(dict(model=tiny_segmentor(**extra))), (32, 32)) for extra in
                   ({}, dict(auxiliary_head=CLASSIFIER)))
    assert more.decoder == plain.decoder
    assert more.parameters == plain.parameters + 51
    assert more.multiply_adds == plain.multiply_adds


def test_size(main, capsys, small):
    assert told(main, capsys, small)['size'] == [32, 48]
    square, wide = told(main, capsys, small, '--size', 64), told(main, capsys, small, '--size', 64, 128)
    assert (square['size'], wide['size']) == ([64, 64], [64, 128])
    assert wide['multiply_adds'] > 1.9 * square['multiply_adds']
    assert wide['parameters'] == square['parameters']


def test_options(main, capsys, small):
    wide = told(main, capsys, small, '--cfg-options', 'model.decode_head.channels=16')
    assert wide['decoder'] > told(main, capsys, small)['decoder']


def test_table(main, capsys, small):
    main([small])
    printed = capsys.readouterr().out
    assert [row.split('|')[1].strip() for row in printed.splitlines() if row.startswith('|')] == [
        'part', 'encoder', 'decoder', 'model']
    assert 'G multiply-adds for one image of 48x32 px' in printed


def test_unfit_size(main, small):
    with pytest.raises(ValueError, match='images of 36x36 px do not fit, both sides must be multiples of 8'):
        main([small, '--size', '36'])


@pytest.mark.parametrize('size', [['0'], ['1', '2', '3']])
def test_size_that_is_none(main, capsys, small, size):
    with pytest.raises(SystemExit):
        main([small, '--size', *size])
    assert f'--size {" ".join(size)}: give one side, or height and width' in capsys.readouterr().err


def test_where_the_size_is_told(tiny_segmentor):
    def size(backbone=None, preprocessor=None, **settings):
        model = tiny_segmentor(backbone, data_preprocessor=preprocessor and dict(size=preprocessor))
        return input_size(Config(dict(model=model, **settings)))
    resnet = dict(type='ResNetV1c', depth=18)
    assert size(resnet, preprocessor=(32, 48), crop_size=(64, 32)) == (32, 48)
    assert size(crop_size=(64, 32)) == (64, 32)
    assert size() == (32, 32)
    with pytest.raises(ValueError, match='sets none of .*backbone.img_size; give the size of images with --size'):
        size(resnet)


def test_config_without_model(main, tmp_path):
    (tmp_path / 'data.py').write_text('crop_size = (32, 32)')
    with pytest.raises(ValueError, match='data.py has no model; give the config of a training run'):
        main([str(tmp_path / 'data.py')])


def test_standard_output_is_json_alone(small):
    """Also while the packages are imported."""
    command = [sys.executable, 'tools/analysis/model_stats.py', small, '--json']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)['size'] == [32, 48]
