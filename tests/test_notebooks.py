"""The notebooks run with tiny settings, and what is stored in them is complete and small."""
import json
import os

import numpy as np
import pytest
from PIL import Image
from running import ROOT, forget_instances

NOTEBOOKS = sorted((ROOT / 'notebooks').glob('*.ipynb'))


def read(name):
    return json.loads((ROOT / f'notebooks/{name}.ipynb').read_text())


@pytest.fixture
def executed(load_tool, tmp_path):
    """The outputs of a notebook, executed in the repository."""
    def run(name, **parameters):
        notebook, here = read(name), os.getcwd()
        forget_instances()
        os.chdir(ROOT)
        try:
            load_tool('tools/dev/run_notebook.py').execute(notebook, parameters)
        finally:
            os.chdir(here)
        return [cell['outputs'] for cell in notebook['cells'] if cell['cell_type'] == 'code']
    return run


def pictures(outputs):
    return [one for cell in outputs for one in cell if 'image/png' in one.get('data', {})]


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_outputs(path):
    """Executed from top to bottom, with pictures, without paths of the machine."""
    assert path.stat().st_size < 500_000
    cells = [cell for cell in json.loads(path.read_text())['cells'] if cell['cell_type'] == 'code']
    assert [cell['execution_count'] for cell in cells] == [*range(1, len(cells) + 1)]
    outputs = [cell['outputs'] for cell in cells]
    assert pictures(outputs)
    assert '/home/' not in path.read_text()
    assert str(ROOT) not in path.read_text()


def test_from_scenes_to_a_map(executed, tmp_path):
    outputs = executed('scene_to_map', iterations=2, scenes=2, size=128, map_size=128, folder=str(tmp_path))
    assert len(pictures(outputs)) == 1
    assert (tmp_path / 'maps/temperate_1.gpkg').exists()


def write_results(folder):
    """What a quickstart leaves, of which the notebook reads a part."""
    ways = {way: dict(vaihingen=20.0, loveda=30.0) for way in ('sdf', 'mdf', 'moe-mdf')}
    files = {'results.json': dict(supervised=dict(mIoU=40.5), s4p=dict(mIoU=43.5), minutes=9.9,
                                  unlabeled=dict(pool=3000, kept=1792), mdf=dict(mIoU=ways),
                                  detection=dict(mAP=dict(dior=41.3, dota=25.1)))}
    for name in ('supervised', 's4p'):
        files[f'{name}_test/metrics.json'] = {'mIoU': 40.5, 'IoU.harbor': 40.5, 'IoU.ship': None}
        files[f'{name}/1/vis_data/scalars.json'] = dict(loss=0.5, step=50)
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(json.dumps(content))
    (folder / 's4p/pseudo_labels.csv').write_text('iteration,class,coverage\n100,harbor,0.25\n200,harbor,0.5\n')
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(folder / 'predictions.png')


def test_results_of_the_quickstart(executed, tmp_path):
    write_results(tmp_path)
    outputs = executed('quickstart_results', folder=str(tmp_path))
    assert len(pictures(outputs)) == 2
    assert '1792 of 3000' in json.dumps(outputs)


def test_unknown_parameters_are_refused(executed):
    with pytest.raises(ValueError, match='the notebook has no parameter folders'):
        executed('quickstart_results', folders='x')
