"""Hooks: seeds of iterations, panels, the teacher."""
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper

from s5_mm.engine import IterationSeedHook, MeanTeacherHook, SemiPanelHook
from s5_mm.engine.hooks import iteration_seed_hook
from s5_mm.engine.hooks.semi_panel_hook import HATCHED, draw_panel
from s5_mm.models import PseudoLabel, SemiBatch, SemiStep, View
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
CLASSES = ['land', 'ship', 'plane']


class TestPanel:

    @pytest.fixture
    def model(self, tiny_segmentor):
        return MODELS.build(dict(type='s5_mm.FixMatchSegmentor', segmentor=tiny_segmentor(), consistency=dict(tau=0.9)))

    @pytest.fixture
    def step(self, make_sample):
        """A step with 2 x 2 px images; the second image of each source must not be seen."""
        image = 255 * torch.tensor([1.0, 0.5, 0.0]).reshape(3, 1, 1).expand(3, 2, 2)
        images = torch.stack([image, torch.zeros_like(image)])
        samples = [make_sample('labeled', truth) for truth in ([[0, 1], [2, 255]], [[0, 0], [0, 0]])]
        target = PseudoLabel(
            label=torch.tensor([[[1, 1], [2, 2]], [[0, 0], [0, 0]]]),
            confidence=torch.tensor([[[0.9, 0.8], [0.9, 1.0]], [[1.0, 1.0], [1.0, 1.0]]]),
            valid=torch.tensor([[[True, True], [False, True]], [[True, True], [True, True]]]))
        logits = torch.tensor([0.0, 0.0, 1.0]).reshape(1, 3, 1, 1).expand(2, 3, 2, 2)
        return SemiStep(SemiBatch(images, samples, images, samples), target, [View(images, target)],
                        [logits.clone().requires_grad_()])

    def tile(self, panel, row, column):
        """Colors in the middle of the four pixels of a tile, each 128 px wide, below a title and captions of 20 px."""
        top, left = 20 + row * (256 + 20) + 20, column * 256
        return [panel[top + y, left + x].tolist() for y in (64, 192) for x in (64, 192)]

    def test_tiles(self, model, step):
        panel = draw_panel(model, step, np.array(PALETTE, dtype=np.uint8), CLASSES)
        red, green = PALETTE[1], PALETTE[2]
        hatched = HATCHED.tolist()
        assert panel.shape == (20 + 2 * 276 + 20, 4 * 256, 3)
        assert panel.dtype == np.uint8
        for row, column in ((0, 0), (0, 2), (1, 0)):
            assert self.tile(panel, row, column) == [[255, 128, 0]] * 4
        truth = self.tile(panel, 0, 1)
        assert truth[:3] == [[0, 0, 0], red, green]
        assert truth[3] in hatched
        for row, column in ((0, 3), (1, 2)):
            labels = self.tile(panel, row, column)
            assert [labels[0], labels[3]] == [red, green]
            assert labels[1] in hatched
            assert labels[2] in hatched
        assert self.tile(panel, 1, 1) == [green] * 4
        brightness = [sum(color) for color in self.tile(panel, 1, 3)]
        assert brightness[1] < brightness[0] == brightness[2] < brightness[3]  # confidences 0.8, 0.9, 0.9, 1

    def test_hatching_has_both_grays(self, model, step):
        panel = draw_panel(model, step, np.array(PALETTE, dtype=np.uint8), CLASSES)
        padding = panel[40 + 128:40 + 256, 3 * 256:3 * 256 + 128].reshape(-1, 3)
        assert np.array_equal(np.unique(padding, axis=0), HATCHED)

    def test_legend_has_all_colors(self, model, step):
        panel = draw_panel(model, step, np.array(PALETTE, dtype=np.uint8), CLASSES)
        legend = panel[-20:]
        assert [legend[10, 160 * k + 10].tolist() for k in range(3)] == PALETTE

    @pytest.fixture
    def runner(self, model):
        shown = []
        visualizer = SimpleNamespace(dataset_meta=dict(palette=PALETTE, classes=CLASSES),
                                     add_image=lambda name, image, step: shown.append((name, image.shape, step)))
        return SimpleNamespace(model=model, visualizer=visualizer, iter=0, shown=shown)

    def iterate(self, runner, hook, step):
        """Run an iteration; tells whether the model was observed."""
        model = runner.model.module if isinstance(runner.model, torch.nn.DataParallel) else runner.model
        hook.before_train_iter(runner, 0)
        observed = bool(model.observers)
        for observe in model.observers:
            observe(step)
        hook.after_train_iter(runner, 0)
        assert not model.observers
        return observed

    def test_every_k_iterations(self, runner, step):
        hook = SemiPanelHook(interval=3)
        hook.before_train(runner)
        observed = []
        for runner.iter in range(7):
            observed.append(self.iterate(runner, hook, step))
        assert observed == [False, False, True, False, False, True, False]
        assert runner.shown == [('views', (592, 1024, 3), 3), ('views', (592, 1024, 3), 6)]

    def test_wrapped_model(self, runner, step):
        hook = SemiPanelHook(interval=1)
        runner.model = torch.nn.DataParallel(runner.model)
        hook.before_train(runner)
        assert self.iterate(runner, hook, step)

    def test_other_ranks_draw_nothing(self, runner, step, monkeypatch):
        monkeypatch.setattr('s5_mm.engine.hooks.semi_panel_hook.is_main_process', lambda: False)
        assert not self.iterate(runner, SemiPanelHook(interval=1), step)
        assert runner.shown == []

    def test_supervised_model(self, tiny_segmentor):
        runner = SimpleNamespace(model=MODELS.build(tiny_segmentor()))
        with pytest.raises(TypeError, match=r'draws the views of a SemiBaseSegmentor .*, the model is a '
                           'EncoderDecoder; remove the hook from custom_hooks'):
            SemiPanelHook().before_train(runner)

    def test_interval(self):
        with pytest.raises(ValueError, match='interval is 0; it must be at least 1'):
            SemiPanelHook(interval=0)


class TestMeanTeacherHook:

    @pytest.fixture
    def training(self, tiny_segmentor):
        """A runner around a model with a teacher, and a function that trains for an iteration."""
        def make(teacher={}, accumulated=1, iterations=100):  # noqa: B006
            torch.manual_seed(0)
            model = MODELS.build(dict(type='s5_mm.FixMatchSegmentor', segmentor=tiny_segmentor(), teacher=teacher))
            wrapper = OptimWrapper(torch.optim.SGD(model.segmentor.parameters(), lr=1.0), accumulated)
            runner = SimpleNamespace(model=model, optim_wrapper=wrapper)
            wrapper.initialize_count_status(model, 0, iterations)
            hook = MeanTeacherHook()
            hook.before_train(runner)

            def iterate():
                loss = sum((weight * torch.randn_like(weight)).sum() for weight in model.segmentor.parameters())
                for name, buffer in model.segmentor.named_buffers():
                    if 'running' in name:
                        buffer.add_(torch.rand_like(buffer))
                wrapper.update_params(loss)
                hook.after_train_iter(runner, 0)
                return {name: value.clone() for name, value in model.segmentor.state_dict().items()}
            return model, iterate
        return make

    def test_mean_of_the_weights_after_each_step(self, training):
        """The teacher is the student after the first step, then the mean; the weights before training do not count."""
        model, iterate = training()
        students = []
        for number in range(1, 6):
            students.append(iterate())
            average = model.teacher.module.state_dict()
            assert model.teacher.steps == number
            for name in ('backbone.pos_embed', 'decode_head.bottleneck.bn.running_mean',
                         'decode_head.bottleneck.bn.running_var'):
                mean = torch.stack([weights[name] for weights in students]).mean(dim=0)
                assert torch.allclose(average[name], mean, atol=1e-5), name
                assert number > 1 or torch.equal(average[name], students[0][name])
            counter = average['decode_head.bottleneck.bn.num_batches_tracked']
            assert counter.dtype == torch.int64

    @pytest.mark.parametrize(('accumulated', 'updates'), [(1, [1, 2, 3, 4, 5]), (2, [0, 1, 1, 2, 3]),
                                                          (4, [0, 0, 0, 1, 2])])
    def test_one_update_for_each_step_of_the_optimizer(self, training, accumulated, updates):
        """With 5 iterations, the last of which makes a step in any case."""
        model, iterate = training(accumulated=accumulated, iterations=5)
        counted = []
        for _ in updates:
            student = iterate()
            counted.append(int(model.teacher.steps))
            if model.teacher.steps == 1 and counted.count(1) == 1:
                assert torch.equal(model.teacher.module.state_dict()['backbone.pos_embed'],
                                   student['backbone.pos_embed'])
        assert counted == updates

    @pytest.mark.parametrize('update_buffers', [True, False])
    def test_a_model_that_was_moved_after_its_construction(self, training, update_buffers):
        """As a runner moves it to a GPU, which replaces the tensors."""
        model, iterate = training(teacher=dict(update_buffers=update_buffers))
        model.double()
        MeanTeacherHook().before_train(SimpleNamespace(model=model))
        student = iterate()
        average = model.teacher.module.state_dict()
        assert all(torch.equal(average[name], student[name]) for name in student if 'tracked' not in name)

    def test_runs_before_hooks_that_use_the_teacher(self):
        assert MeanTeacherHook.priority == 'ABOVE_NORMAL'

    @pytest.mark.parametrize('kind', ['EncoderDecoder', 'FixMatchSegmentor'])
    def test_no_teacher(self, tiny_segmentor, kind):
        plain = tiny_segmentor()
        cfg = plain if kind == 'EncoderDecoder' else dict(type='s5_mm.FixMatchSegmentor', segmentor=plain)
        runner = SimpleNamespace(model=MODELS.build(cfg))
        with pytest.raises(ValueError, match=rf'the {kind} has none; set model.teacher=dict\(\), or remove the hook'):
            MeanTeacherHook().before_train(runner)
