"""Starts of windows by hand, at each kind of edge, and windows over an image."""
import pytest

from s5_mm.tiling import Window, window_starts, windows


@pytest.mark.parametrize(('length', 'size', 'stride', 'shift', 'drop'), [
    (20, 32, 32, [0], [0]), (32, 32, 32, [0], [0]), (64, 32, 32, [0, 32], [0, 32]), (70, 32, 32, [0, 32, 38], [0, 32]),
    (70, 32, 20, [0, 20, 38], [0, 20]), (72, 32, 20, [0, 20, 40], [0, 20, 40])])
def test_last_window_is_moved_inside_or_dropped(length, size, stride, shift, drop):
    assert window_starts(length, size, stride) == window_starts(length, size, stride, 'shift') == shift
    assert window_starts(length, size, stride, 'drop') == drop


@pytest.mark.parametrize(('length', 'starts'), [
    (500, [0]), (1024, [0]), (1025, [0, 1]), (1848, [0, 824]), (1849, [0, 824, 825]),
    (4000, [0, 824, 1648, 2472, 2976])])
def test_starts_of_published_patches(length, starts):
    """1024 px with an overlap of 200 px, in iSAID and DOTA."""
    assert window_starts(length, 1024, 824) == starts


@pytest.mark.parametrize(('length', 'starts'), [(1024, [0, 256, 512, 512, 512]), (1000, [0, 256, 488, 488]),
                                                (512, [0, 0, 0]), (300, [0, 0]), (200, [0])])
def test_repeated_starts_of_the_published_test(length, starts):
    assert window_starts(length, 512, 256, 'repeat') == starts


def test_unknown_edge():
    with pytest.raises(ValueError, match="edge is 'pad'; choose from shift, drop, repeat"):
        window_starts(64, 32, 32, 'pad')


def test_windows_run_line_by_line():
    found = list(windows((40, 70), 32, 32))
    assert found == [Window(top, left, 32, 32) for top in (0, 8) for left in (0, 32, 38)]
    assert list(windows((40, 70), 32, 32, 'drop')) == [Window(0, 0, 32, 32), Window(0, 32, 32, 32)]


def test_windows_are_smaller_where_the_image_is():
    assert list(windows((20, 40), 32, 32)) == [Window(0, 0, 20, 32), Window(0, 8, 20, 32)]
