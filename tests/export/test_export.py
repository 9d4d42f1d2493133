"""Exported files: what they compute and tell, and what is refused."""
import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import rasterio
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from running import ROOT, command
from scenes_drawn import painted, write_scene

from s5_mm.export import FORMATS, Agreement, Description, export, exporting, load_exported, with_engine
from s5_mm.export.check import agreement
from s5_mm.export.description import KEY
from s5_mm.export.extras import extra
from s5_mm.export.graph import SegmentationGraph
from s5_mm.export.plain import plain_segmentor
from s5_mm.radiometry import Radiometry, Stretch, write_records
from s5_mm.registry import MODELS
from s5_mm.scenes import SegmentationSettings, load_model, segment
from s5_mm.scenes.segmentation import class_probabilities

pytestmark = pytest.mark.skipif(not hasattr(torch.compiler, 'is_exporting'), reason='torch 2.6 cannot export')
QUICKSTART = ROOT / 'configs/quickstart'
ARCH = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32, out_indices=(0, 1, 2, 3))
RECORD = Radiometry(('red', 'green', 'blue'), Stretch(value_range=(0, 2550)))
SETTINGS = SegmentationSettings()


def small(folder, name, **model):
    """Config and checkpoint of a quickstart model with a tiny encoder."""
    path = folder / f'{name}.py'
    base = next(QUICKSTART.glob(f'{name}_vit-t_*.py'))
    cfg = Config.fromfile(base)
    encoder = cfg.model.get('segmentor', cfg.model)
    encoder['backbone'].update(arch=ARCH, img_size=32, init_cfg=None)
    for part in (cfg.model, encoder):
        part['init_cfg'] = None
    if cfg.model.get('data_preprocessor', {}).get('size'):
        cfg.model.data_preprocessor.size = (32, 32)
    if cfg.model.get('experts'):
        cfg.model.experts = dict(part_features=4)
    cfg.merge_from_dict(dict(model=model))
    cfg.dump(path)
    init_default_scope('mmseg')
    torch.manual_seed(0)
    network = MODELS.build(Config.fromfile(path).model)
    # Random norms and a strong classifier, so that every part of the network counts.
    for key, value in network.state_dict().items():
        if value.is_floating_point() and value.ndim == 1:
            value.copy_(1 + 0.3 * torch.rand_like(value) if 'var' in key or 'weight' in key else
                        0.1 * torch.randn_like(value))
        elif 'conv_seg.weight' in key:
            value.mul_(5)
    records = dict.fromkeys(cfg.model.get('datasets', ['']), RECORD)
    torch.save(dict(state_dict=network.state_dict(), meta=dict(radiometry=write_records(records))),
               folder / f'{name}.pth')
    return path, folder / f'{name}.pth'


@pytest.fixture(scope='module')
def fixmatch(tmp_path_factory):
    return small(tmp_path_factory.mktemp('fixmatch'), 'fixmatch')


@pytest.fixture(scope='module')
def several(tmp_path_factory):
    return small(tmp_path_factory.mktemp('several'), 'moe-mdf')


@pytest.fixture(scope='module')
def file_for(fixmatch, tmp_path_factory):
    """The exported file of S4P for an engine; each is written once, which takes some seconds."""
    folder = tmp_path_factory.mktemp('files')

    @cache
    def write(engine):
        kind, suffix = dict(onnxruntime=('onnx', '.onnx'), openvino=('openvino', '.xml'))[engine]
        export(*fixmatch, folder / f'small{suffix}', kind)
        return folder / f'small{suffix}'
    return write


@pytest.fixture
def onnx(file_for):
    return file_for('onnxruntime')


def drawn(*shape):
    return np.random.default_rng(0).integers(0, 255, shape, np.uint8)


def test_a_file_of_one_of_several_datasets(several, tmp_path, capsys):
    """Written by the command: merged, of any number and size of images, and it tells how it agreed with torch."""
    path = tmp_path / 'loveda.pt2'
    arguments = [*map(str, several), '--out', str(path), '--format', 'pt2', '--dataset', 'loveda', '--preprocessing']
    command('tools/export.py')([*arguments, 'out'])
    assert 'loveda.pt2: probabilities differ by at most' in capsys.readouterr().out
    content = {KEY: ''}
    torch.export.load(path, extra_files=content)
    told = Description.from_text(content[KEY], 'loveda.pt2')
    assert 0 <= told.check['largest_difference'] < 1e-4
    assert told.check['same_classes'] > 0.999
    expected, run = load_model(*several, 'loveda', 'cpu'), FORMATS['pt2'].open(path)
    for shape in ((1, 3, 32, 32), (3, 3, 96, 48)):
        images = drawn(*shape)
        shares = class_probabilities(expected, images, SETTINGS).numpy()
        assert np.abs(run(told.inputs(images)) - shares).max() < 1e-4
        assert shares.std() > 0.05
    assert (told.dataset, told.classes, told.window, told.preprocessing) == ('loveda', expected.classes, 32, False)
    assert told.radiometry == RECORD
    assert {'torch', 's5_mm'} == told.versions.keys()
    assert [*tmp_path.iterdir()] == [path]
    with pytest.raises(FileExistsError, match='loveda.pt2 exists; .*--force'):
        command('tools/export.py')([*arguments, 'in'])


@pytest.mark.parametrize('engine', ['onnxruntime', 'openvino'])
def test_an_exported_file_predicts_a_scene_as_torch_does(fixmatch, file_for, tmp_path, engine):
    """Scenes of 16 bits, read with the values that the file tells."""
    model, expected = load_exported(file_for(engine)), load_model(*fixmatch, device='cpu')
    assert (model.classes, model.palette, model.radiometry) == (expected.classes, expected.palette, RECORD)
    assert model.name == f'{expected.name} {engine} fp32'
    scene = write_scene(tmp_path / 'scene.tif', painted(100, 70)[0].astype(np.uint16) * 10, photometric='rgb')
    maps = []
    for one, out in ((model, 'file'), (expected, 'torch')):
        found = segment(one, scene, tmp_path / out, SegmentationSettings(flip=True, confidence=True), progress=False)
        with rasterio.open(found.classes) as classes, rasterio.open(found.confidence) as confidence:
            maps.append((classes.read(1), confidence.read(1).astype(int)))
    assert (maps[0][0] == maps[1][0]).mean() > 0.999
    assert np.abs(maps[0][1] - maps[1][1]).max() <= 1


@pytest.mark.parametrize(('engine', 'precision', 'most'), [
    ('torch', 'bf16', 0.02), ('compile', 'fp32', 1e-5)])
def test_engines_of_torch(fixmatch, monkeypatch, engine, precision, most):
    # Compilation takes half a minute; what it does to a graph is torch's affair.
    monkeypatch.setattr(torch, 'compile', lambda graph: graph)
    expected = load_model(*fixmatch, device='cpu')
    model = with_engine(expected, Config.fromfile(fixmatch[0]).model, engine, precision)
    images = drawn(2, 3, 64, 32)
    one, other = (class_probabilities(each, images, SETTINGS) for each in (model, expected))
    assert one.dtype == torch.float32
    assert (one - other).abs().mean() < most
    assert model.name == f'{expected.name} {engine} {precision}'


@pytest.mark.parametrize(('engine', 'precision'), [('onnxruntime', 'int8'), ('openvino', 'bf16')])
def test_reduced_precision(file_for, engine, precision):
    images = drawn(1, 3, 64, 64)
    try:
        reduced = load_exported(file_for(engine), precision=precision)
    except ValueError as error:
        assert 'does not compute in bfloat16' in str(error)  # noqa: PT017
        return
    one, other = (class_probabilities(each, images, SETTINGS) for each in (load_exported(file_for(engine)), reduced))
    assert 1e-6 < (one - other).abs().mean() < 0.02


def test_a_result_that_differs_is_not_kept(tiny_segmentor, tmp_path, monkeypatch):
    """Of a program that is always the same; the check alone decides."""
    network = MODELS.build(tiny_segmentor()).eval()
    graph = SegmentationGraph(network, (0., ) * 3, (64., ) * 3)
    form = FORMATS['pt2']._replace(
        convert=lambda program: program, save=lambda program, text, path: path.write_text(text),
        open=lambda path: lambda inputs: np.roll(graph(torch.from_numpy(inputs)).detach().numpy(), 1, axis=1))
    monkeypatch.setitem(FORMATS, 'pt2', form)
    monkeypatch.setattr(exporting, 'load_model', lambda *arguments: None)
    monkeypatch.setattr(exporting, 'described_graph', lambda *arguments: (graph, told(window=32)))
    monkeypatch.setattr(exporting, 'traced', lambda *arguments: None)
    with pytest.raises(ValueError, match=r'does not compute what torch computes.* allowed are 0.001 and at least 99.9'):
        export(Config(dict(model={})), 'x.pth', tmp_path / 'small.pt2', 'pt2')
    assert not [*tmp_path.iterdir()]


def test_agreement_by_hand():
    """Probabilities of two classes on two pixels, of which the second changes its class."""
    class Graph(torch.nn.Module):
        def forward(self, images):
            return torch.tensor([[[[0.75, 0.5625]], [[0.25, 0.4375]]]])

    found = agreement(lambda images: np.array([[[[0.75, 0.4375]], [[0.25, 0.5625]]]], np.float32), Graph(),
                      [np.zeros((1, 3, 1, 2), np.uint8)])
    assert found == Agreement(0.125, 0.5)
    assert str(found) == 'probabilities differ by at most 0.12, 50.0000% of the pixels have the same class'
    assert agreement(lambda images: np.zeros((1, 3, 1, 2)), Graph(), [np.zeros((1, 3, 1, 2), np.uint8)])[1] == 0


def told(**changes):
    right = Description('model', None, ('a', 'b'), ((0, 0, 0), (1, 2, 3)), Radiometry(), 32, 16, (1., 2., 3.),
                        (4., 5., 8.))
    return replace(right, **changes)


def test_inputs_by_hand():
    """Blue, green, red become red, green, blue, and are normalized where the graph does not."""
    images = np.array([10, 20, 30], np.uint8).reshape(1, 3, 1, 1)
    assert told().inputs(images).ravel().tolist() == [30, 20, 10]
    inputs = told(preprocessing=False).inputs(images)
    assert inputs.dtype == np.float32
    assert inputs.ravel().tolist() == pytest.approx([29 / 4, 18 / 5, 7 / 8])
    with pytest.raises(ValueError, match='the images have 4 bands, model takes 3; choose them with --bands'):
        told().inputs(np.zeros((1, 4, 2, 2), np.uint8))


def test_descriptions_are_read_as_written():
    before = told(radiometry=RECORD, dataset='x', check=dict(same_classes=1.0))
    assert Description.from_text(before.to_text(), 'f') == before


@pytest.mark.parametrize('change', [
    dict(classes='ab'), dict(classes=[1, 2]), dict(palette=[[0, 0, 0], [1, 2, 300]]), dict(palette=[[0, 0, 0]]),
    dict(window=0), dict(divisor=16.0), dict(mean=[1, 2, float('nan')]), dict(std=[1, 2, 0]), dict(std=[1]),
    dict(preprocessing=1), dict(radiometry=dict(bands=None, stretch=dict(percentiles=[9, 1], value_range=None))),
    dict(more=1), dict(name=None)])
def test_damaged_descriptions(change):
    text = json.dumps(json.loads(told().to_text()) | change)
    with pytest.raises(ValueError, match='f.onnx has a damaged description'):
        Description.from_text(text, 'f.onnx')


@pytest.mark.parametrize('text', ['[]', '{', '{}', '1', '[' * 100_000])
def test_other_texts(text):
    with pytest.raises(ValueError, match='damaged description'):
        Description.from_text(text, 'f.onnx')
    with pytest.raises(ValueError, match='f.onnx does not tell its classes .*tools/export.py'):
        Description.from_text(None, 'f.onnx')


@pytest.mark.parametrize(('name', 'options', 'message'), [
    ('small.onnx', dict(engine='openvino'), r'openvino takes files \.xml, not small\.onnx'),
    ('small.onnx', dict(engine='torch'), 'torch takes config and checkpoint, not small.onnx'),
    ('small.onnx', dict(precision='bf16'), 'onnxruntime does not compute in bf16; it has fp32, int8'),
    ('gone.onnx', {}, 'there is no file .*gone.onnx'),
    ('junk.onnx', {}, r'junk.onnx cannot be read by onnxruntime'),
    ('junk.xml', {}, r'junk.xml cannot be read by openvino')])
def test_files_that_cannot_be_run(onnx, tmp_path, name, options, message):
    for junk in ('junk.onnx', 'junk.xml'):
        (tmp_path / junk).write_text('junk')
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_exported(onnx if name == onnx.name else tmp_path / name, **options)


def test_a_graph_without_a_description_is_refused(onnx, tmp_path):
    import onnx as package
    model = package.load(onnx)
    model.metadata_props.clear()
    package.save(model, tmp_path / 'bare.onnx')
    with pytest.raises(ValueError, match='bare.onnx does not tell its classes and bands'):
        load_exported(tmp_path / 'bare.onnx')


def test_config_and_checkpoint_go_with_torch(fixmatch):
    model, cfg = load_model(*fixmatch, device='cpu'), Config.fromfile(fixmatch[0]).model
    with pytest.raises(ValueError, match='onnxruntime runs exported files; write one with tools/export.py'):
        with_engine(model, cfg, 'onnxruntime')
    with pytest.raises(ValueError, match='compile does not compute in int8; it has fp32, bf16'):
        with_engine(model, cfg, 'compile', 'int8')


def test_detectors_and_other_heads_are_refused(fixmatch, tiny_segmentor):
    network = MODELS.build(tiny_segmentor())

    class Head(type(network.decode_head)):
        def predict(self, *arguments):
            return None

    network.decode_head.__class__ = Head
    with pytest.raises(ValueError, match='the decode head is a Head, which does more than a forward'):
        plain_segmentor(network, {}, None)
    with pytest.raises(ValueError, match='the model is a Linear; only segmentors .* detectors cannot'):
        plain_segmentor(torch.nn.Linear(1, 1), {}, None)


def test_a_missing_package_names_the_extra():
    with pytest.raises(ImportError, match=r'no_such_package is needed here .*pip install "s5_mm\[export\]"'):
        extra('no_such_package.part')


def test_predict_takes_an_exported_file_alone(onnx, tmp_path):
    """In the place of config and checkpoint; options may stand before the scene."""
    scene, out = write_scene(tmp_path / 'scene.tif', painted(40, 50)[0], photometric='rgb'), tmp_path / 'out'
    predict = command('tools/predict.py')
    predict([str(onnx), '--precision', 'int8', '--value-range', '0', '255', str(scene), '--out', str(out)])
    record = json.loads((out / 'scene.json').read_text())
    assert record['model'].endswith('onnxruntime int8')
    assert (out / 'scene.tif').exists()
    with pytest.raises(ValueError, match=r'scene was made with other settings \(model: '):
        predict([str(onnx), str(scene), '--out', str(out), '--value-range', '0', '255'])
    for option, value, message in (('--dataset', 'x', '--dataset is an option of a config'),
                                   ('--device', 'cuda', '--device is an option of a config'),
                                   ('--draw', None, '--draw is an option of detection')):
        with pytest.raises(ValueError, match=message):
            predict([str(onnx), str(scene), '--out', str(out), option, *([value] if value else [])])


def test_predict_needs_a_scene(tmp_path, capsys):
    with pytest.raises(SystemExit):
        command('tools/predict.py')(['config.py', 'checkpoint.pth', '--out', str(tmp_path)])
    assert 'no scene is given' in capsys.readouterr().err


def test_other_suffixes_are_refused_before_anything_is_loaded(tmp_path):
    with pytest.raises(ValueError, match=r"ends in '.pt2'; choose one of .onnx"):
        command('tools/export.py')([str(QUICKSTART / 'start_vit-t_upernet_synthetic-96x96.py'), 'gone.pth', '--out',
                                    str(tmp_path / 'x.pt2')])
