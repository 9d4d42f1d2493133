import pytest


@pytest.fixture
def run_command(load_tool):
    return load_tool('benchmarks/commands.py').run_command


def test_options_become_arguments_and_output_goes_to_the_log(run_command, tmp_path):
    seconds = run_command('data_prep/synthetic.py', 'unlabeled', tmp_path / 'pool', num=2, off_domain=0.5, size=32,
                          log=tmp_path / 'logs' / 'pool.log')
    assert seconds > 0
    assert '2 new images' in (tmp_path / 'logs' / 'pool.log').read_text()
    assert len(list((tmp_path / 'pool').rglob('*.jpg'))) == 2


def test_a_failing_command_is_an_error_that_shows_its_last_words(run_command, tmp_path):
    message = r"synthetic.py ended with code 2; its output is in (?s:.)*unknown style 'martian'"
    with pytest.raises(RuntimeError, match=message) as told:
        run_command('data_prep/synthetic.py', 'unlabeled', tmp_path / 'pool', styles='martian', log=tmp_path / 'log')
    assert str(tmp_path / 'log') in str(told.value)
