"""Check at import time that the environment's packages are ones this package works with."""
import importlib
from typing import NamedTuple

from packaging.version import Version


class Requirement(NamedTuple):
    """An importable module and its accepted versions, ``minimum <= version < below``."""

    module: str
    minimum: str
    below: str


# Below torch 2.6 MMEngine unpickles checkpoints fully; mmcv's ops do not compile against 2.13 and later.
FOUNDATIONS = (
    Requirement('torch', '2.6.0', '2.13.0'),
    Requirement('mmengine', '0.10.12', '0.11.0'),
    Requirement('mmcv', '2.3.6', '2.4.0'),
)
"""What this package's operators need, which the other packages get when they are imported."""

HOSTS = (
    Requirement('mmseg', '1.4.2', '1.5.0'),
    Requirement('mmdet', '3.5.1', '3.6.0'),
    Requirement('mmrotate', '1.2.1', '1.3.0'),
    Requirement('mmpretrain', '1.3.6', '1.4.0'),
)

REQUIREMENTS = (*FOUNDATIONS, *HOSTS)


def check_dependencies(requirements: tuple[Requirement, ...] = REQUIREMENTS) -> None:
    """Import the packages and compare their versions.

    Args:
        requirements: What is needed, in the order of import.

    Raises:
        ImportError: A package is missing, broken or of another version; names what was found and what is accepted.
    """
    for module, minimum, below in requirements:
        accepted = f's5_mm needs {minimum} <= {module} < {below}'
        remedy = '`make setup` prepares a fitting environment; docs/install.md explains how to use your own.'
        try:
            found = importlib.import_module(module).__version__
        except (ImportError, AssertionError) as error:
            raise ImportError(f'{accepted}, but importing it fails: {error}. {remedy}') from error
        if not Version(minimum) <= Version(found) < Version(below):
            raise ImportError(f'{accepted}, but version {found} was found. {remedy}')
