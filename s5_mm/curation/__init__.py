from .entropy import largest_entropy, mean_entropy
from .prototypes import (
    DEFAULT_NUM_CLUSTERS,
    Prototypes,
    assign,
    fit_prototypes,
    image_features,
    load_prototypes,
    propose_num_clusters,
    save_prototypes,
)
from .quota import fill, quotas
from .selection import STRATEGIES, Selection, select

__all__ = [
    'DEFAULT_NUM_CLUSTERS', 'STRATEGIES', 'Prototypes', 'Selection', 'assign', 'fill', 'fit_prototypes',
    'image_features', 'largest_entropy', 'load_prototypes', 'mean_entropy', 'propose_num_clusters', 'quotas',
    'save_prototypes', 'select'
]
