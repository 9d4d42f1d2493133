"""Import every package that the environment must have, mmcv's compiled ops first."""
import importlib

MODULES = ('torch', 'torchvision', 'mmcv._ext', 'mmcv.ops', 'mmseg.models', 'mmdet.models', 'mmrotate.models',
           'mmpretrain.models', 's5_mm')


def main() -> None:
    """Import and report; the first failure ends the check with its traceback."""
    for name in MODULES:
        importlib.import_module(name)
        print(f'  {name}')


if __name__ == '__main__':
    main()
