"""What is told, and what is used, when a training is resumed with other settings."""
import pytest
import torch
from toy_training import train_toy

from s5_mm.engine import ResumeHook
from s5_mm.engine.hooks.resume_hook import flat, plain


def optimizer(lr):
    return dict(optimizer=dict(type='SGD', lr=lr, momentum=0.9))


def cosine(**options):
    return [dict(type='LinearLR', by_epoch=False, start_factor=0.5, begin=0, end=2),
            dict(type='CosineAnnealingLR', by_epoch=False, eta_min=0, begin=2, **options)]


def rates(runner):
    """Learning rates of all iterations, as they are logged."""
    return runner.message_hub.get_scalar('train/lr').data[0].tolist()


def resumed(tmp_path, capsys, schedule_from='checkpoint', **settings):
    """A training of 4 iterations is resumed to the tenth; the runner and what it says."""
    train_toy(tmp_path, iters=4, param_scheduler=cosine(), optim_wrapper=optimizer(0.1))
    capsys.readouterr()
    hook = dict(type='s5_mm.ResumeHook', schedule_from=schedule_from)
    runner = train_toy(tmp_path, iters=10, resume=True, hooks=dict(resume=hook), **settings)
    return runner, ''.join(capsys.readouterr())


def row(said, setting):
    """Cells of a line of the table."""
    [line] = [line for line in said.splitlines() if line.startswith(f'| {setting} ')]
    return [cell.strip() for cell in line.strip('|').split('|')[1:]]


def test_changes_are_told_with_what_counts(tmp_path, capsys):
    runner, said = resumed(tmp_path, capsys, param_scheduler=cosine(eta_min_ratio=None), optim_wrapper=optimizer(0.5))
    assert row(said, 'optim_wrapper.optimizer.lr') == ['0.1', '0.5', 'checkpoint']
    assert row(said, 'train_cfg.max_iters') == ['4', '10', 'config']
    assert row(said, 'param_scheduler.1.eta_min_ratio') == ['-', 'None', 'checkpoint']
    assert 'optim_wrapper.optimizer.momentum' not in said
    assert 'default_hooks.resume.schedule_from=config' in said
    assert max(rates(runner)[4:]) < 0.1


def test_schedule_of_the_config(tmp_path, capsys):
    """The rates from the fifth iteration on are those of an undisturbed run with the new config."""
    new = dict(param_scheduler=cosine(), optim_wrapper=optimizer(0.5))
    runner, said = resumed(tmp_path / 'a', capsys, 'config', **new)
    expected = rates(train_toy(tmp_path / 'b', iters=10, **new))
    assert rates(runner)[4:] == pytest.approx(expected[4:], rel=1e-6)
    assert row(said, 'optim_wrapper.optimizer.lr') == ['0.1', '0.5', 'config']
    assert 'schedule_from=config' not in said
    assert runner.optim_wrapper.optimizer.param_groups[0]['momentum'] == 0.9


def test_rates_of_the_config_are_scaled_to_the_batch(tmp_path, capsys):
    """Given for batches of 4, and used for batches of 1 at a quarter of them."""
    new = dict(param_scheduler=cosine(), optim_wrapper=optimizer(0.5),
               auto_scale_lr=dict(enable=True, base_batch_size=4))
    runner, _ = resumed(tmp_path / 'a', capsys, 'config', **new)
    expected = rates(train_toy(tmp_path / 'b', iters=10, **new))
    assert max(expected) <= 0.5 / 4
    assert rates(runner)[4:] == pytest.approx(expected[4:], rel=1e-6)


def test_with_the_same_settings_both_ways_are_the_same(tmp_path):
    """So moments of the optimizer stay, and schedulers stand where they stood."""
    settings = dict(param_scheduler=cosine(end=10), optim_wrapper=optimizer(0.1))
    weights = []
    for schedule_from in ('checkpoint', 'config'):
        train_toy(tmp_path / schedule_from, iters=4, **settings)
        runner = train_toy(tmp_path / schedule_from, iters=10, resume=True, **settings,
                           hooks=dict(resume=dict(type='s5_mm.ResumeHook', schedule_from=schedule_from)))
        weights.append(runner.model.layer.weight.item())
    assert weights[0] == weights[1]


def test_nothing_is_told_of_the_same_settings(tmp_path, capsys):
    """A run of six iterations that is stopped after four, as a signal does it."""
    train_toy(tmp_path, iters=6, keep=3)
    (tmp_path / 'iter_6.pth').unlink()
    capsys.readouterr()
    train_toy(tmp_path, iters=6, keep=3, resume=True)
    assert 'These settings' not in ''.join(capsys.readouterr())


def test_settings_are_plain_and_flat():
    settings = plain(dict(a=(1, None, dict(b=torch.float32)), c={}, d=[True]))
    assert dict(flat(settings)) == {'a.0': 1, 'a.1': None, 'a.2.b': 'torch.float32', 'c': {}, 'd.0': True}


def test_wrong_option():
    with pytest.raises(ValueError, match="schedule_from is 'both'; choose 'checkpoint' or 'config'"):
        ResumeHook('both')
