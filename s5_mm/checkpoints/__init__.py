from . import formats
from .adapters import StateDictAdapter, TableAdapter
from .initializer import LoadWeights, replace_pretrained
from .loading import adapt_weights, encoder_prefix, load_weights
from .reading import read_checkpoint
from .report import LoadReport
from .resuming import newest_checkpoint, require_training_state

__all__ = [
    'LoadReport', 'LoadWeights', 'StateDictAdapter', 'TableAdapter', 'adapt_weights', 'encoder_prefix', 'formats',
    'load_weights', 'newest_checkpoint', 'read_checkpoint', 'replace_pretrained', 'require_training_state'
]
