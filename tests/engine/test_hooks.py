"""Hooks: seeds of iterations, panels."""
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from s5_mm.engine import FixMatchPanelHook, IterationSeedHook
from s5_mm.engine.hooks import iteration_seed_hook
from s5_mm.engine.hooks.fixmatch_panel_hook import draw_panel
from s5_mm.registry import MODELS


class TestIterationSeedHook:

    def numbers(self, iteration, seed=11):
        IterationSeedHook().before_train_iter(SimpleNamespace(seed=seed, iter=iteration), 0)
        return random.random(), np.random.rand(), torch.rand(()).item()

    def test_numbers_of_an_iteration(self):
        first = self.numbers(3)
        assert not set(first) & set(self.numbers(4))
        assert self.numbers(3) == first
        assert self.numbers(3, seed=12) != first

    def test_ranks_differ(self, monkeypatch):
        drawn = []
        for rank in range(2):
            monkeypatch.setattr(iteration_seed_hook, 'get_rank', lambda rank=rank: rank)
            drawn.append(self.numbers(3))
        assert drawn[0] != drawn[1]

    def test_runs_before_hooks_that_draw(self):
        assert IterationSeedHook.priority == 'VERY_HIGH'


PALETTE = [[0, 0, 0], [255, 0, 0], [0, 255, 0]]


@pytest.fixture
def views():
    labels = torch.tensor([[0, 1], [2, 255]])
    image = torch.tensor([1.0, 0.5, 0.0]).reshape(3, 1, 1).expand(3, 2, 2)
    return dict(labeled=image, ground_truth=labels, weak=image, pseudo_label=torch.tensor([[1, 1], [2, 2]]),
                confident=torch.tensor([[True, False], [False, True]]), strong=image,
                prediction=torch.tensor([[2, 2], [2, 2]]))


class TestPanel:

    def tile(self, panel, row, column):
        """Colors in the middle of the four pixels of a tile; each is 128 px wide, a caption 20 px high."""
        top, left = row * (256 + 20) + 20, column * 256
        return [panel[top + y, left + x].tolist() for y in (64, 192) for x in (64, 192)]

    def test_tiles(self, views):
        panel = draw_panel(views, np.array(PALETTE, dtype=np.uint8))
        white, red, green = [255] * 3, PALETTE[1], PALETTE[2]
        assert panel.shape == (2 * 276, 3 * 256, 3)
        assert panel.dtype == np.uint8
        assert self.tile(panel, 0, 0) == [[255, 128, 0]] * 4
        assert self.tile(panel, 0, 1) == [[0, 0, 0], red, green, white]
        assert self.tile(panel, 0, 2) == [green] * 4
        assert self.tile(panel, 1, 1) == [red, white, white, green]

    @pytest.fixture
    def runner(self, tiny_segmentor):
        model = MODELS.build(dict(type='s5_mm.FixMatchSegmentor', segmentor=tiny_segmentor()))
        shown = []
        visualizer = SimpleNamespace(dataset_meta=dict(palette=PALETTE),
                                     add_image=lambda name, image, step: shown.append((name, image.shape, step)))
        return SimpleNamespace(model=model, visualizer=visualizer, iter=0, shown=shown)

    def test_every_k_iterations(self, runner, views):
        hook = FixMatchPanelHook(interval=3)
        hook.before_train(runner)
        asked = []
        for runner.iter in range(7):
            hook.before_train_iter(runner, 0)
            asked.append(runner.model.keep_views)
            runner.model.views = views if runner.model.keep_views else {}
            hook.after_train_iter(runner, 0)
        assert asked == [False, False, True, False, False, True, False]
        assert runner.shown == [('fixmatch', (552, 768, 3), 3), ('fixmatch', (552, 768, 3), 6)]
        assert runner.model.views == {}

    def test_wrapped_model(self, runner, views):
        hook = FixMatchPanelHook(interval=1)
        model = runner.model
        runner.model = torch.nn.DataParallel(model)
        hook.before_train(runner)
        hook.before_train_iter(runner, 0)
        assert model.keep_views

    def test_other_ranks_draw_nothing(self, runner, monkeypatch):
        monkeypatch.setattr('s5_mm.engine.hooks.fixmatch_panel_hook.is_main_process', lambda: False)
        hook = FixMatchPanelHook(interval=1)
        hook.before_train_iter(runner, 0)
        hook.after_train_iter(runner, 0)
        assert runner.shown == []

    def test_supervised_model(self, tiny_segmentor):
        runner = SimpleNamespace(model=MODELS.build(tiny_segmentor()))
        with pytest.raises(TypeError, match='shows views of a FixMatchSegmentor, the model is a EncoderDecoder; remove '
                           'the hook from custom_hooks'):
            FixMatchPanelHook().before_train(runner)

    def test_interval(self):
        with pytest.raises(ValueError, match='interval is 0, it must be at least 1'):
            FixMatchPanelHook(interval=0)
