"""What an import in an unfit environment reports."""
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement as Declared

from s5_mm import dependencies
from s5_mm.dependencies import FOUNDATIONS, HOSTS, REQUIREMENTS, Requirement, check_imports, check_versions

PACKAGE = (Requirement('fake-package', '1.2.0', '2.0.0'), )


@pytest.fixture
def install(monkeypatch):
    """Pretend that distributions are installed, by name and version, and no others."""
    def pretend(**versions):
        versions = {name.replace('_', '-'): version for name, version in versions.items()}
        monkeypatch.setattr(dependencies, '_installed', versions.get)
    return pretend


@pytest.mark.parametrize('version', ['1.2.0', '1.10.1', '1.9.0+cu128', '1.2.0a0+ecf3bae.nv25'])
def test_accepted(install, version):
    install(fake_package=version)
    check_versions(PACKAGE)


@pytest.mark.parametrize('version', ['1.1.9', '2.0.0', '2.1.0+cpu'])
def test_unfit_version_is_named(install, version):
    install(fake_package=version)
    with pytest.raises(ImportError) as error:
        check_versions(PACKAGE)
    assert 's5_mm needs 1.2.0 <= fake-package < 2.0.0' in str(error.value)
    assert f'version {version} was found' in str(error.value)
    assert 'make setup' in str(error.value)


def test_without_an_upper_bound_every_later_version_is_accepted(install):
    install(fake_package='99.1')
    check_versions([Requirement('fake-package', '1')])


def test_missing_package_is_named():
    with pytest.raises(ImportError, match='needs 1 <= no-such-package < 2, but it is not installed.*docs/install.md'):
        check_versions([Requirement('no-such-package', '1', '2')])


def test_original_distribution_in_its_place_is_named(install):
    install(mmengine='0.10.7')
    with pytest.raises(ImportError, match='<= onedl-mmengine < .* not installed, only mmengine 0.10.7.*new environ'):
        check_versions([Requirement('onedl-mmengine', '0.10.12', '0.11')])


def test_two_distributions_of_one_module_are_named(install):
    install(onedl_mmcv='2.3.6', mmcv_lite='2.1.0')
    with pytest.raises(ImportError, match='mmcv-lite and onedl-mmcv are both installed.*pip uninstall mmcv-lite'):
        check_versions([Requirement('onedl-mmcv', '2.3.6')])


def test_broken_package_keeps_its_own_reason(tmp_path, monkeypatch):
    """mmseg refuses another mmcv by an assertion while it is imported."""
    (tmp_path / 'refusing_package.py').write_text("assert False, 'MMCV==9 is used but incompatible'")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match='refusing_package.*importing it fails: MMCV==9 is used but incompatible'):
        check_imports(['refusing_package'])


@pytest.mark.parametrize('name', ['cv2', 'mmseg', 'mmdet', 'mmrotate'])
def test_a_missing_host_is_named(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=f's5_mm needs {name}, but importing it fails: .*docs/install.md'):
        check_imports(FOUNDATIONS + HOSTS)


def test_transformers_are_named_where_they_break_mmpretrain(monkeypatch, install):
    monkeypatch.setitem(sys.modules, 'mmpretrain.models', None)
    install(transformers='5.18.0')
    with pytest.raises(ImportError, match=r'mmpretrain.* beside transformers 5.18.0.*without it.*transformers < 5'):
        check_imports(['mmpretrain.models'])
    install(transformers='4.57.6')
    with pytest.raises(ImportError, match='mmpretrain.models, but importing it fails'):
        check_imports(['mmpretrain.models'])


def test_requirements_are_those_of_the_package():
    """``packaging`` makes the check; cv2 has several distributions and is imported instead."""
    project = tomllib.loads((Path(__file__).parents[1] / 'pyproject.toml').read_text())['project']
    declared = {}
    for line in map(Declared, project['dependencies']):
        bounds = {bound.operator: bound.version for bound in line.specifier}
        assert bounds.keys() <= {'>=', '<'}
        declared[line.name] = Requirement(line.name, bounds['>='], bounds.get('<'))
    assert {'packaging', 'opencv-python'} <= declared.keys()
    assert {name: line for name, line in declared.items() if name not in ('packaging', 'opencv-python')} == {
        requirement.distribution: requirement for requirement in REQUIREMENTS}


def test_set_up_has_a_version_of_every_requirement():
    root = Path(__file__).parents[1]
    project = tomllib.loads((root / 'pyproject.toml').read_text())['project']
    wanted = map(Declared, project['dependencies'] + project['optional-dependencies']['dev'])
    pins = [Declared(line) for path in (root / 'requirements').glob('*.txt')
            for line in path.read_text().splitlines() if not line.startswith('#')]
    versions = {pin.name.lower(): next(iter(pin.specifier)).version for pin in pins}
    for requirement in wanted:
        assert requirement.name in versions
        assert requirement.specifier.contains(versions[requirement.name])


def test_what_hosts_print_goes_to_standard_error(capsys):
    with dependencies.printing_apart():
        print('Could not import OneDL')
        print('something else')
    assert capsys.readouterr() == ('', 'something else\n')


def test_what_hosts_printed_before_an_error_is_not_lost(capsys):
    def fail():
        with dependencies.printing_apart():
            print('a reason')
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert capsys.readouterr() == ('', 'a reason\n')
