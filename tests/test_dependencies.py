"""What an import in an unfit environment reports."""
import sys
from types import SimpleNamespace

import pytest

from s5_mm.dependencies import REQUIREMENTS, Requirement, check_dependencies


@pytest.fixture
def fake(monkeypatch):
    def install(version):
        monkeypatch.setitem(sys.modules, 'fakepackage', SimpleNamespace(__version__=version))
        return (Requirement('fakepackage', '1.2.0', '2.0.0'), )
    return install


@pytest.mark.parametrize('version', ['1.2.0', '1.10.1', '1.9.0+cu128'])
def test_accepted(fake, version):
    check_dependencies(fake(version))


@pytest.mark.parametrize('version', ['1.1.9', '2.0.0', '2.1.0+cpu'])
def test_unfit_version_is_named(fake, version):
    with pytest.raises(ImportError) as error:
        check_dependencies(fake(version))
    assert 's5_mm needs 1.2.0 <= fakepackage < 2.0.0' in str(error.value)
    assert f'version {version} was found' in str(error.value)
    assert 'make setup' in str(error.value)


def test_missing_package_is_named():
    with pytest.raises(ImportError, match=r"needs 1 <= no_such_package < 2, but importing it fails: No module named"):
        check_dependencies((Requirement('no_such_package', '1', '2'), ))


def test_broken_package_keeps_its_own_reason(tmp_path, monkeypatch):
    """mmseg refuses another mmcv by an assertion while it is imported."""
    (tmp_path / 'refusing_package.py').write_text("assert False, 'MMCV==9 is used but incompatible'")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match='importing it fails: MMCV==9 is used but incompatible'):
        check_dependencies((Requirement('refusing_package', '1', '2'), ))


@pytest.mark.parametrize('name', ['mmseg', 'mmdet', 'mmrotate', 'mmpretrain'])
def test_a_missing_host_is_named(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=f'<= {name} < .*, but importing it fails: .*docs/install.md'):
        check_dependencies()


def test_requirements_are_ordered_ranges():
    from packaging.version import Version
    assert [req.module for req in REQUIREMENTS][0] == 'torch'
    assert all(Version(req.minimum) < Version(req.below) for req in REQUIREMENTS)
