from .encoder_table import encoder_table, with_table
from .model_stats import ModelStats, count_model, input_size

__all__ = ['ModelStats', 'count_model', 'encoder_table', 'input_size', 'with_table']
