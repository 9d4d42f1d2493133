from .batch_composition_hook import BatchCompositionHook
from .class_count_hook import ClassCountHook
from .dataset_filter_hook import DatasetFilterHook
from .divergence_hook import DivergenceHook
from .fixmatch_panel_hook import FixMatchPanelHook
from .iteration_seed_hook import IterationSeedHook
from .multi_dataset_visualization_hook import MultiDatasetVisualizationHook
from .unreadable_images_hook import UnreadableImagesHook

__all__ = [
    'BatchCompositionHook', 'ClassCountHook', 'DatasetFilterHook', 'DivergenceHook',
    'FixMatchPanelHook', 'IterationSeedHook', 'MultiDatasetVisualizationHook', 'UnreadableImagesHook'
]
