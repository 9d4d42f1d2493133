"""Check at import time that the environment's packages are ones this package works with."""
import contextlib
import importlib
import io
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import NamedTuple

from packaging.version import Version


class Requirement(NamedTuple):
    """A distribution and its accepted versions, ``minimum <= version < below``."""

    distribution: str
    minimum: str
    below: str | None = None

    def __str__(self) -> str:
        upper = f' < {self.below}' if self.below else ''
        return f'{self.minimum} <= {self.distribution}{upper}'

    def accepts(self, version: str) -> bool:
        """Whether a version is in the range; one before a release (2.6.0a0) counts as that release."""
        found = Version(Version(version).base_version)
        return Version(self.minimum) <= found and (self.below is None or found < Version(self.below))


# The same as in pyproject.toml, where the reasons are.
REQUIREMENTS = (
    Requirement('torch', '2.6'),
    Requirement('torchvision', '0.21'),
    Requirement('onedl-mmengine', '0.10.12', '0.11'),
    Requirement('onedl-mmcv', '2.3.6', '2.4'),
    Requirement('onedl-mmsegmentation', '1.4.2', '1.5'),
    Requirement('onedl-mmdetection', '3.5.1', '3.6'),
    Requirement('onedl-mmrotate', '1.2.1', '1.3'),
    Requirement('onedl-mmpretrain', '1.3.6', '1.4'),
    Requirement('affine', '2.4'),
    Requirement('duckdb', '1.2'),
    Requirement('geopandas', '1.1'),
    Requirement('kornia', '0.8'),
    Requirement('matplotlib', '3.9'),
    Requirement('numpy', '2.0.1'),
    Requirement('pillow', '11'),
    Requirement('prettytable', '3.10'),
    Requirement('pyarrow', '18'),
    Requirement('pyogrio', '0.11'),
    Requirement('rasterio', '1.4'),
    Requirement('safetensors', '0.5'),
    Requirement('scikit-learn', '1.6'),
    Requirement('shapely', '2.0.6'),
    Requirement('threadpoolctl', '3.5'),
    Requirement('tqdm', '4.66'),
)
FOUNDATIONS = ('torch', 'torchvision', 'cv2', 'mmengine', 'mmcv')
"""What this package's operators need, which the hosts get when they are imported."""
HOSTS = ('mmseg', 'mmdet', 'mmrotate', 'mmpretrain.models')
ORIGINALS = {
    'onedl-mmengine': ('mmengine', 'mmengine-lite'),
    'onedl-mmcv': ('mmcv', 'mmcv-lite', 'mmcv-full'),
    'onedl-mmsegmentation': ('mmsegmentation', ),
    'onedl-mmdetection': ('mmdet', ),
    'onedl-mmrotate': ('mmrotate', ),
    'onedl-mmpretrain': ('mmpretrain', ),
}
"""Older distributions with the same import name; they and the newer one overwrite each other's files."""
CAUSES = {'mmpretrain.models': Requirement('transformers', '4.28', '5')}
"""Packages that a host imports where they are installed, and the versions that it can import."""


def check_versions(requirements: Iterable[Requirement] = REQUIREMENTS) -> None:
    """Compare the versions of what is installed, without importing it.

    Args:
        requirements: What has to be installed.

    Raises:
        ImportError: A distribution is missing, of another version, or shares its import name with another one; names
            what was found and what is accepted.
    """
    for requirement in requirements:
        _check_version(requirement)
        _check_originals(requirement)


def check_imports(modules: Iterable[str]) -> None:
    """Import packages that may be installed and yet be broken.

    Args:
        modules: In the order of import.

    Raises:
        ImportError: One does not import; names it and the reason.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except (ImportError, AssertionError, OSError) as error:
            optional = CAUSES.get(module)
            found = optional and _installed(optional.distribution)
            if found and not optional.accepts(found):
                _fail(f's5_mm needs {module}, which does not import beside {optional.distribution} {found}, but does '
                      f'without it or with {optional}: {error}', error)
            _fail(f's5_mm needs {module}, but importing it fails: {error}', error)


@contextlib.contextmanager
def printing_apart() -> Iterator[None]:
    """Keep what the hosts print while they are imported away from standard output, which is for the results of tools.

    It goes to standard error, without the notes that an optional package for OneDL's datasets is missing.
    """
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            yield
    finally:
        for line in printed.getvalue().splitlines():
            if 'Could not import OneDL' not in line:
                sys.stderr.write(f'{line}\n')


def _installed(distribution: str) -> str | None:
    """The version of a distribution, or none."""
    try:
        return installed_version(distribution)
    except PackageNotFoundError:
        return None


def _fail(problem: str, cause: Exception | None = None) -> None:
    raise ImportError(f'{problem}. `make setup` prepares a fitting environment; docs/install.md explains how to use '
                      'your own.') from cause


def _check_version(requirement: Requirement) -> None:
    found = _installed(requirement.distribution)
    if found is None:
        other = [f'{name} {version}' for name in ORIGINALS.get(requirement.distribution, ())
                 if (version := _installed(name))]
        instead = f', only {other[0]}, which it replaces: use a new environment' if other else ''
        _fail(f's5_mm needs {requirement}, but it is not installed{instead}')
    if not requirement.accepts(found):
        _fail(f's5_mm needs {requirement}, but version {found} was found')


def _check_originals(requirement: Requirement) -> None:
    for original in ORIGINALS.get(requirement.distribution, ()):
        if _installed(original):
            _fail(f'{original} and {requirement.distribution} are both installed and overwrite each other\'s files; '
                  f'`pip uninstall {original} {requirement.distribution}`, then install the latter again')
