from .commands import run_command
from .comparison import draw_comparison
from .launch import enable_amp, load_config, prepare_for_cpu

__all__ = ['draw_comparison', 'enable_amp', 'load_config', 'prepare_for_cpu', 'run_command']
