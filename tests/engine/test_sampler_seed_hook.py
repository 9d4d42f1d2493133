"""The sampler draws with the seed of the run."""
from types import SimpleNamespace

import pytest
from torch.utils.data import DataLoader

from s5_mm.datasets import MultiSourceDataset, MultiSourceSampler
from s5_mm.engine import SamplerSeedHook
from s5_mm.engine.hooks import sampler_seed_hook


def runner_with(sampler=None, seed=11, step=0):
    said = []
    return SimpleNamespace(train_dataloader=DataLoader(list(range(8)), sampler=sampler), seed=seed, iter=step,
                           said=said, logger=SimpleNamespace(warning=lambda text, *values: said.append(text % values)))


@pytest.fixture
def sampler():
    return MultiSourceSampler(MultiSourceDataset(dict(a=[0, 1], b=[2])), dict(a=2, b=1), seed=5)


def test_sampler_takes_the_seed_of_the_run(sampler):
    SamplerSeedHook().before_train(runner_with(sampler))
    assert sampler.seed == 11


def test_another_seed_on_each_process(sampler, monkeypatch):
    monkeypatch.setattr(sampler_seed_hook, 'all_gather_object', lambda seed: [seed, seed + 1])
    with pytest.raises(ValueError, match=r'run with the seeds \[11, 12\], but they divide one order of the data among '
                                         r'them, .* leave out randomness\.diff_rank_seed'):
        SamplerSeedHook().before_train(runner_with(sampler))
    assert sampler.seed == 5


def saved(draws):
    """What a run of such batches stores."""
    checkpoint = {}
    stored = MultiSourceSampler(MultiSourceDataset(dict(a=[0, 1], b=[2])), draws, seed=5)
    SamplerSeedHook().before_save_checkpoint(runner_with(stored), checkpoint)
    return checkpoint


@pytest.mark.parametrize(('draws', 'step', 'starts'), [
    (dict(a=4, b=3), 6, [0, 6]), (dict(a=2, b=1), 6, [0]), (dict(a=4, b=3), 0, [0])])
def test_a_resumed_run_goes_on_with_the_next_draw(sampler, draws, step, starts):
    """Also with another batch; nothing is taken over from a checkpoint that gives the weights alone."""
    hook, runner = SamplerSeedHook(), runner_with(sampler, step=step)
    hook.after_load_checkpoint(runner, saved(draws))
    hook.before_train(runner)
    assert [start for start, _ in sampler.history] == starts
    assert sampler.history[0].draws == (draws if step else dict(a=2, b=1))
    assert [text.split(';')[0] for text in runner.said] == [
        "Resumed with another batch: {'a': 4, 'b': 3} samples of all processes together before, {'a': 2, 'b': 1} now. "
        'The order of the samples stays, each is drawn once an epoch of its source. The learning rate stays that of '
        'the checkpoint'][:len(starts) - 1]


def test_a_checkpoint_of_another_version_is_taken_for_one_of_the_same_batch(sampler):
    hook, runner = SamplerSeedHook(), runner_with(sampler, step=6)
    hook.after_load_checkpoint(runner, {})
    hook.before_train(runner)
    assert (sampler.history, runner.said) == ([(0, dict(a=2, b=1))], [])


def test_other_samplers_are_left_alone():
    runner, checkpoint = runner_with(), {}
    before = dict(vars(runner.train_dataloader.sampler))
    SamplerSeedHook().before_train(runner)
    SamplerSeedHook().before_save_checkpoint(runner, checkpoint)
    assert vars(runner.train_dataloader.sampler) == before
    assert checkpoint == {}


def test_runs_before_hooks_that_use_the_seed():
    assert SamplerSeedHook.priority == 'VERY_HIGH'
