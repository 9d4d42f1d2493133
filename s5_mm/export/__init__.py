from .check import Agreement
from .description import Description
from .engines import ENGINES, PRECISIONS, is_exported, load_exported, with_engine
from .exporting import TOLERANCE, export
from .formats import FORMATS

__all__ = [
    'ENGINES', 'FORMATS', 'PRECISIONS', 'TOLERANCE', 'Agreement', 'Description', 'export', 'is_exported',
    'load_exported', 'with_engine'
]
