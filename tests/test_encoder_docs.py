"""The page of encoders is current."""
from pathlib import Path

import pytest
from mmengine.config import Config
from running import command

from s5_mm.analysis import count_model, with_table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / 'docs' / 'encoders.md'


def test_table_of_encoders_is_current(tmp_path):
    text = PAGE.read_text()
    assert '| `dinov3-l-sat` | 315.7 | 16 px | 1024 | 3 | 109.7, 104.8, 75.5; 54.3, 39.8, 36.5 |' in text
    (tmp_path / 'page.md').write_text(text)
    command('tools/analysis/encoder_table.py')([str(tmp_path / 'page.md')])
    assert (tmp_path / 'page.md').read_text() == text
    with pytest.raises(ValueError, match='has no lines .*made by tools/analysis/encoder_table.py'):
        with_table('# Encoders')


@pytest.mark.parametrize(('name', 'segmentation'), [('rvsa-b', 103.6), ('samrs-b', 102.8), ('gfm-b', 96.9)])
def test_parameters_of_peers(name, segmentation):
    """With the counted modules of their authors, but for what is never used."""
    cfg = Config.fromfile(ROOT / 'configs/s4p/supervised_vit-b-mae_upernet_8xb12-120k_isaid-512x512.py')
    cfg.merge_from_dict({'model.backbone.name': name})
    assert count_model(cfg, (224, 224)).as_dict()['parameters_m'] == segmentation
