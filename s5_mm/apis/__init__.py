from s5_mm.launching import end_process, naming_lost_processes, prepare_for_cpu
from s5_mm.scenes import (
    Detections,
    SceneModel,
    SegmentationSettings,
    SegmentedScene,
    TilingConfig,
    dataset_meta,
    detect,
    load_model,
    segment,
)

from .detection_drawing import draw_boxes, draw_classes, overview, with_legend
from .host_config import host_config
from .launch import build_runner, enable_amp, load_config, set_resume
from .testing import enable_visualization, select_datasets, write_json, write_predictions

__all__ = [
    'Detections', 'SceneModel', 'SegmentationSettings', 'SegmentedScene', 'TilingConfig', 'build_runner',
    'dataset_meta', 'detect', 'draw_boxes', 'draw_classes', 'enable_amp', 'enable_visualization', 'end_process',
    'host_config', 'load_config', 'load_model', 'naming_lost_processes', 'overview', 'prepare_for_cpu', 'segment',
    'select_datasets', 'set_resume', 'with_legend', 'write_json', 'write_predictions'
]
