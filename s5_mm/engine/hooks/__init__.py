from .batch_composition_hook import BatchCompositionHook
from .checkpoint_fit_hook import CheckpointFitHook
from .class_count_hook import ClassCountHook
from .dataset_filter_hook import DatasetFilterHook
from .divergence_hook import DivergenceHook
from .iteration_seed_hook import IterationSeedHook
from .mean_teacher_hook import MeanTeacherHook
from .multi_dataset_visualization_hook import MultiDatasetVisualizationHook
from .semi_panel_hook import SemiPanelHook
from .unreadable_images_hook import UnreadableImagesHook

__all__ = [
    'BatchCompositionHook', 'CheckpointFitHook', 'ClassCountHook', 'DatasetFilterHook', 'DivergenceHook',
    'IterationSeedHook', 'MeanTeacherHook', 'MultiDatasetVisualizationHook', 'SemiPanelHook', 'UnreadableImagesHook'
]
