"""Packages that only exports need."""
import importlib
from types import ModuleType


def extra(module: str) -> ModuleType:
    """Import a package of the extra ``export``.

    Args:
        module: Its name, e.g. ``'onnxruntime'``.

    Raises:
        ImportError: It is not installed, or does not import.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f'{module.partition(".")[0]} is needed here and does not import ({error}); install the '
                          'packages of the extra "export": pip install "s5_mm[export]".') from error
