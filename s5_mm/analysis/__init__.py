from .model_stats import ModelStats, count_model, input_size

__all__ = ['ModelStats', 'count_model', 'input_size']
