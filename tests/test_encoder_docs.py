"""The page of encoders is current, and its parameters are those of the authors' modules."""
from pathlib import Path

import pytest
from mmengine.config import Config
from running import command, narrow

from s5_mm.analysis import PEERS, count_model, with_table
from s5_mm.models import ENCODERS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / 'docs' / 'encoders.md'
# Millions of parameters of the authors' modules, counted without values, with UperNet of 256 channels and a further
# classifier of one class / with Oriented R-CNN; with a table and an unused class token, but for SAMRS and Swin.
PUBLISHED = {
    'vit-b': (103.1583, 111.1775), 'vit-l': (327.4273, 334.6601), 'vit-h': (663.3831, 669.8294),
    'vit-g': (990.9032, 996.9563), 'oreole-g': (950.4735, 956.1334), 'rvsa-b': (103.59, 111.6092),
    'rvsa-b-det': (103.59, 111.6092), 'rvsa-b-diamond': (103.9591, 111.9783), 'samrs-b': (102.7713, 110.7905),
    'ma3e-b': (103.1583, 111.1775), 'mtp-l': (329.188, 336.4208), 'mtp-l-det': (329.1557, 336.3885),
    'satmaepp-l-rgb': (327.4273, 334.6601), 'selectivemae-l': (327.4273, 334.6601), 'gfm-b': (96.8628, 104.0956),
    'swin-b': (96.8808, 104.1136)}
# Its class has a table of 1,025 entries that it does not use.
PUBLISHED['scalemae-l'] = tuple(number - 1.0496 for number in (327.4273, 334.6601))


def test_tables_are_current(tmp_path):
    text = PAGE.read_text()
    assert '| `dinov3-l-sat` | 315.7 | 16 px | 1024 | 3 | 109.7, 104.8, 75.5; 54.3, 39.8, 36.5 |' in text
    (tmp_path / 'page.md').write_text(text)
    command('tools/analysis/encoder_table.py')([str(tmp_path / 'page.md')])
    assert (tmp_path / 'page.md').read_text() == text
    with pytest.raises(ValueError, match='has no lines .*encoders, made by tools/analysis/encoder_table.py'):
        with_table('# Encoders', 'encoders', '')


def test_parameters_of_peers():
    """Those on the page, up to its two digits, class tokens and entries that are not used, and further classifiers."""
    rows = [[cell.strip(' `') for cell in line.split('|')[1:-1]] for line in PAGE.read_text().splitlines()]
    rows = [row for row in rows if len(row) == 6]
    counted = {row[i]: tuple(map(float, row[i + 1].split(' / '))) for row in rows for i in (2, 4)
               if row[i] in PUBLISHED}
    assert counted.keys() == PUBLISHED.keys()
    for name, numbers in counted.items():
        assert numbers == pytest.approx(PUBLISHED[name], abs=0.009), name
    # ViT-H's table in detection is one for 800 px, with 50 instead of 32 patches a side.
    counted['vit-h'] = (counted['vit-h'][0], counted['vit-h'][1] + 1280 * (50**2 - 32**2) / 1e6)
    for peer in PEERS:
        assert counted[peer.plain] == pytest.approx(peer.printed, abs=0.07), peer.row
        assert {peer.plain, *peer.names} <= counted.keys()


def test_multiply_adds_of_an_encoder_of_more_bands():
    cfg = Config.fromfile(ROOT / 'configs/s4p/supervised_vit-b-mae_upernet_8xb12-120k_isaid-512x512.py')
    cfg.model.backbone.update(name='satmaepp-l-sentinel', **narrow(ENCODERS['satmaepp-l-sentinel'].cfg))
    cfg.model.decode_head.channels = 8
    cfg.model.data_preprocessor.value_range = (0, 10000)
    # Four patches of 8 x 8 px with ten bands give 16 channels.
    assert count_model(cfg, (64, 64)).multiply_adds > 64 * 8 * 8 * 10 * 16
