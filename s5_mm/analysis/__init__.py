from .encoder_table import encoder_table, with_table
from .model_stats import ModelStats, count_model, count_parameters, input_size
from .peers import PEERS, Peer, count_peers, peer_table

__all__ = [
    'PEERS', 'ModelStats', 'Peer', 'count_model', 'count_parameters', 'count_peers', 'encoder_table', 'input_size',
    'peer_table', 'with_table'
]
