from .iou_metric import IoUMetric
from .label_map_writer import LabelMapWriter

__all__ = ['IoUMetric', 'LabelMapWriter']
