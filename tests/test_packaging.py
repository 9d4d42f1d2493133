"""What an installation from the wheel brings."""
import shutil
import subprocess
import sys
import tomllib
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from s5_mm import __version__

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """The wheel, built from a copy."""
    source = tmp_path_factory.mktemp('source')
    ignored = shutil.ignore_patterns('.*', '*.egg-info', 'build', 'dist', 'data', 'work_dirs', 'tests', '__pycache__')
    shutil.copytree(ROOT, source, ignore=ignored, dirs_exist_ok=True)
    subprocess.run([sys.executable, 'setup.py', '-q', 'bdist_wheel'], cwd=source, check=True)
    with ZipFile(next((source / 'dist').glob('*.whl'))) as archive:
        yield archive


def tracked(folder, *left_out):
    """Files of a folder, as they are called in the repository."""
    return {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob('*')
            if path.is_file() and '__pycache__' not in path.parts and not any(part in left_out for part in path.parts)}


def test_wheel_has_the_modules_and_the_recipes(wheel):
    recipes = tracked('configs') | tracked('tools', 'dev') | {'model-index.yml'}
    expected = tracked('s5_mm', '.mim') | {f's5_mm/.mim/{name}' for name in recipes}
    assert {name for name in wheel.namelist() if '.dist-info/' not in name} == expected
    assert 's5_mm/py.typed' in expected


def test_launchers_stay_executable(wheel):
    assert wheel.getinfo('s5_mm/.mim/tools/dist_train.sh').external_attr >> 16 & 0o111


def test_metadata_is_that_of_the_project(wheel):
    name = next(name for name in wheel.namelist() if name.endswith('METADATA'))
    metadata = Parser().parsestr(wheel.read(name).decode())
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    assert (metadata['Name'], metadata['Version']) == ('s5_mm', __version__)
    needed = [line for line in metadata.get_all('Requires-Dist') if 'extra ==' not in line]
    assert set(map(Requirement, needed)) == set(map(Requirement, project['dependencies']))
