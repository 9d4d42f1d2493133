"""How long threads wait for each other is chosen before torch is loaded, unless the user did."""
import os
import sys

import pytest

from s5_mm.threads import SETTINGS, SPINS, limit_spinning


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """A process in which torch is not loaded and nothing is set; the environment is restored afterwards."""
    monkeypatch.setattr(os, 'environ', {name: value for name, value in os.environ.items() if name not in SETTINGS})
    monkeypatch.delitem(sys.modules, 'torch')


def chosen():
    limit_spinning()
    return {name: os.environ[name] for name in SETTINGS if name in os.environ}


def test_threads_spin_shortly():
    assert chosen() == {'GOMP_SPINCOUNT': str(SPINS)}


@pytest.mark.parametrize(('name', 'value'), [('OMP_WAIT_POLICY', 'active'), ('GOMP_SPINCOUNT', '5')])
def test_the_choice_of_the_user_stays(name, value):
    os.environ[name] = value
    assert chosen() == {name: value}


def test_too_late_after_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch', object())
    assert chosen() == {}
