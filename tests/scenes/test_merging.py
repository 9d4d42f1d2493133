"""Weights and averages of overlapping windows, against a plain computation over the whole scene."""
import numpy as np
import pytest
import torch

from s5_mm.scenes.grid import Grid, hann
from s5_mm.scenes.merger import Merger

GRIDS = [((50, 90), 32, 16, 'hann'), ((100, 41), 32, 8, 'hann'), ((70, 70), 32, 24, 'hann'), ((20, 50), 32, 16, 'hann'),
         ((64, 64), 32, 0, 'hann'), ((50, 90), 32, 8, 'center'), ((77, 60), 32, 20, 'center')]


def whole(grid):
    [panel] = grid.panels(10_000)
    return panel


def weights_of(grid, line, window):
    return grid.row_weights[line][:, None] * grid.column_weights[window]


@pytest.mark.parametrize('grid', [Grid(*options) for options in GRIDS])
def test_weights_sum_to_one_everywhere(grid):
    total = np.zeros((grid.tops[-1] + 32, grid.lefts[-1] + 32))
    for line, top in enumerate(grid.tops):
        for window, left in enumerate(grid.lefts):
            total[top:top + 32, left:left + 32] += weights_of(grid, line, window)
    assert np.allclose(total, 1, atol=1e-6)
    if grid.blend == 'center':
        assert set(np.unique(grid.row_weights)) == {0, 1}


def test_hann_window():
    """An overlap of half a window gives the periodic Hann window, sin^2."""
    assert np.allclose(hann(8, 4), np.sin(np.pi * (np.arange(8) + 0.5) / 8)**2)
    assert hann(8, 2)[2:6].tolist() == [1, 1, 1, 1]
    assert hann(8, 0).tolist() == [1] * 8
    # The ramps of a larger overlap meet in the middle.
    assert hann(8, 6).tolist() == hann(8, 4).tolist()


def test_a_window_fades_out_at_its_border():
    grid = Grid((200, 200), 64, 32)
    assert grid.column_weights[1, [0, -1]].max() < 0.001
    assert grid.column_weights[0, 0] == 1


def test_the_nearer_center_decides():
    grid = Grid((32, 56), 32, 8, 'center')
    assert grid.lefts == [0, 24]
    assert grid.column_weights[0].tolist() == [1] * 28 + [0] * 4
    assert grid.column_weights[1].tolist() == [0] * 4 + [1] * 28


def windows_of(grid, num_classes=3, empty=()):
    rng = torch.Generator().manual_seed(1)
    return {(line, window): None if (line, window) in empty else
            torch.rand(num_classes, grid.side, grid.side, generator=rng)
            for line in range(len(grid.tops)) for window in range(len(grid.lefts))}


def merged(panel, windows, first=0):
    """Rows of the panel that each line completes."""
    merger, lines = Merger(panel, 3, torch.device('cpu')), []
    for line in range(first, len(panel.grid.tops)):
        parts = [part.clone() for _, part in
                 merger.merge_line(line, [windows[line, window] for window in panel.windows])]
        lines.append(torch.cat(parts, dim=2)[:, :, panel.columns])
    return lines


@pytest.mark.parametrize('grid', [Grid(*options) for options in GRIDS])
def test_merged_is_the_weighted_mean(grid):
    windows = windows_of(grid, empty=[(1, 1)])
    expected = torch.zeros(3, grid.tops[-1] + 32, grid.lefts[-1] + 32)
    for (line, window), scores in windows.items():
        if scores is not None:
            top, left = grid.tops[line], grid.lefts[window]
            expected[:, top:top + 32, left:left + 32] += scores * torch.from_numpy(weights_of(grid, line, window))
    found = torch.cat(merged(whole(grid), windows), dim=1)
    assert found.shape == expected.shape
    # Rows that two lines share are held in half precision meanwhile.
    assert torch.allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize('grid', [Grid((150, 60), 32, overlap) for overlap in (8, 16, 24)])
def test_a_line_needs_only_those_that_touch_it(grid):
    windows = windows_of(grid)
    lines = merged(whole(grid), windows)
    for line in range(len(grid.tops)):
        first = grid.first_touching(line)
        for later, rows in enumerate(merged(whole(grid), windows, first)[line - first:], line):
            assert torch.equal(rows, lines[later])


@pytest.mark.parametrize('grid', [Grid((70, 500), 32, overlap) for overlap in (0, 8, 16, 24)])
def test_panels_side_by_side_are_the_scene(grid):
    windows, panels = windows_of(grid), grid.panels(1)
    assert len(panels) > 1
    assert [window for panel in panels for window in panel.own] == [*range(len(grid.lefts))]
    side_by_side = [torch.cat(parts, dim=2) for parts in zip(*(merged(panel, windows) for panel in panels),
                                                             strict=True)]
    for one, other in zip(side_by_side, merged(whole(grid), windows), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(('options', 'message'), [
    ((32, 32), 'overlap is 32 and the window 32 px; 0 <= overlap < window'),
    ((32, 8, 'cosine'), "blend is 'cosine'; choose from hann, center")])
def test_impossible_grids(options, message):
    with pytest.raises(ValueError, match=message):
        Grid((100, 100), *options)
