"""Semi-supervised pre-training and multi-dataset fine-tuning for remote sensing, on OpenMMLab.

Importing the package registers its classes under the scope ``s5_mm``; a config does that with
``custom_imports=dict(imports=['s5_mm'], allow_failed_imports=False)``.
"""
from .dependencies import FOUNDATIONS, HOSTS, check_imports, check_versions, printing_apart
from .threads import limit_spinning
from .version import __version__

limit_spinning()
with printing_apart():
    check_versions()
    check_imports(FOUNDATIONS)
    from . import ops
    ops.serve_mmcv()  # before the hosts import mmcv.ops
    check_imports(HOSTS)
    from . import checkpoints, datasets, engine, evaluation, models

__all__ = ['__version__', 'checkpoints', 'datasets', 'engine', 'evaluation', 'models', 'ops']
