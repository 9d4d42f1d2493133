from .commands import run_command
from .comparison import draw_comparison
from .launch import enable_amp, load_config, prepare_for_cpu
from .testing import draw_predictions, select_datasets, write_json, write_label_maps

__all__ = [
    'draw_comparison', 'draw_predictions', 'enable_amp', 'load_config', 'prepare_for_cpu', 'run_command',
    'select_datasets', 'write_json', 'write_label_maps'
]
