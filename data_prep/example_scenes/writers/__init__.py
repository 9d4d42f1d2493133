"""One module a benchmark: a table from scene classes to its ids, colors or names, and its file layout."""

from .base import Format
from .dior_r import DIOR_R_FORMAT
from .dota import DOTA_FORMAT
from .isaid import ISAID_FORMAT
from .isprs import POTSDAM_FORMAT, VAIHINGEN_FORMAT
from .loveda import LOVEDA_FORMAT
from .openearthmap import OPENEARTHMAP_FORMAT

__all__ = ['FORMATS', 'Format']

FORMATS = {
    'isaid': ISAID_FORMAT,
    'potsdam': POTSDAM_FORMAT,
    'vaihingen': VAIHINGEN_FORMAT,
    'loveda': LOVEDA_FORMAT,
    'openearthmap': OPENEARTHMAP_FORMAT,
    'dior_r': DIOR_R_FORMAT,
    'dota': DOTA_FORMAT,
}
