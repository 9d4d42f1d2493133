from .detection import Detections, TilingConfig, detect
from .detection_files import detect_scene, write_detections
from .model import SceneModel, dataset_meta, load_model
from .reading import find_scenes, scene_name
from .segmentation import SegmentationSettings, SegmentedScene, segment
from .vectors import boxes, check_format, class_polygons, write_vectors

__all__ = [
    'Detections', 'SceneModel', 'SegmentationSettings', 'SegmentedScene', 'TilingConfig', 'boxes', 'check_format',
    'class_polygons', 'dataset_meta', 'detect', 'detect_scene', 'find_scenes', 'load_model', 'scene_name', 'segment',
    'write_detections', 'write_vectors'
]
