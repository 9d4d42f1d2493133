from .average_precision import DetectedImage, average_precision
from .detection_file import load_detections
from .dota_metric import DOTAMetric
from .iou_metric import S5IoUMetric
from .label_map_writer import LabelMapWriter
from .patches import class_nms, merge, parse_patch
from .polygon_overlaps import as_polygons, overlapping_pairs
from .rotated_map import RotatedMAP
from .task1_zip import write_task1

__all__ = [
    'DOTAMetric', 'DetectedImage', 'S5IoUMetric', 'LabelMapWriter', 'RotatedMAP', 'as_polygons', 'average_precision',
    'class_nms', 'load_detections', 'merge', 'overlapping_pairs', 'parse_patch', 'write_task1'
]
