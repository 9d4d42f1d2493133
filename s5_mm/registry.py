"""Registries of the package, children of MMEngine's under the scope ``s5_mm``.

A config names a class of this package as ``type='s5_mm.FixMatchSegmentor'``, whatever the host's ``default_scope`` is.
"""
from mmengine import registry as mmengine_registry
from mmengine.registry import Registry


def _child(parent: Registry, *locations: str) -> Registry:
    """A registry of this package that looks into ``locations`` when a name is asked for."""
    return Registry(parent.name, parent=parent, scope='s5_mm', locations=[f's5_mm.{name}' for name in locations])


MODELS = _child(mmengine_registry.MODELS, 'models')
TASK_UTILS = _child(mmengine_registry.TASK_UTILS, 'models')
DATASETS = _child(mmengine_registry.DATASETS, 'datasets')
DATA_SAMPLERS = _child(mmengine_registry.DATA_SAMPLERS, 'datasets')
TRANSFORMS = _child(mmengine_registry.TRANSFORMS, 'datasets')
METRICS = _child(mmengine_registry.METRICS, 'evaluation')
HOOKS = _child(mmengine_registry.HOOKS, 'engine')
LOOPS = _child(mmengine_registry.LOOPS, 'engine')
RUNNERS = _child(mmengine_registry.RUNNERS, 'engine')
WEIGHT_INITIALIZERS = _child(mmengine_registry.WEIGHT_INITIALIZERS, 'checkpoints')
# Formats of files of weights, which MMEngine has none of.
ADAPTERS = Registry('adapter', scope='s5_mm', locations=['s5_mm.checkpoints'])
OPTIM_WRAPPERS = _child(mmengine_registry.OPTIM_WRAPPERS, 'engine')
