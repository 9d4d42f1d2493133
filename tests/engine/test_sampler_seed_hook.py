"""The sampler draws with the seed of the run."""
from types import SimpleNamespace

import pytest
from torch.utils.data import DataLoader

from s5_mm.datasets import MultiSourceDataset, MultiSourceSampler
from s5_mm.engine import SamplerSeedHook
from s5_mm.engine.hooks import sampler_seed_hook


def runner_with(sampler=None, seed=11):
    return SimpleNamespace(train_dataloader=DataLoader(list(range(8)), sampler=sampler), seed=seed)


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


def test_other_samplers_are_left_alone():
    runner = runner_with()
    before = dict(vars(runner.train_dataloader.sampler))
    SamplerSeedHook().before_train(runner)
    assert vars(runner.train_dataloader.sampler) == before


def test_runs_before_hooks_that_use_the_seed():
    assert SamplerSeedHook.priority == 'VERY_HIGH'
