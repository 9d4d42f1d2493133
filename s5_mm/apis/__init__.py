from .launch import enable_amp, load_config, prepare_for_cpu

__all__ = ['enable_amp', 'load_config', 'prepare_for_cpu']
