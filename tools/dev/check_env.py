"""Import every package that the environment must have, the checks of versions first."""
import importlib

MODULES = ('s5_mm', 'mmcv.ops', 'mmseg.models', 'mmdet.models', 'mmrotate.models', 'mmpretrain.models')


def main() -> None:
    """Import and report; the first failure ends the check with its traceback."""
    for name in MODULES:
        importlib.import_module(name)
        print(f'  {name}')


if __name__ == '__main__':
    main()
