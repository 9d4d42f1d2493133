from .checkpoint_fit_hook import CheckpointFitHook
from .fixmatch_panel_hook import FixMatchPanelHook
from .iteration_seed_hook import IterationSeedHook
from .multi_dataset_visualization_hook import MultiDatasetVisualizationHook
from .unreadable_images_hook import UnreadableImagesHook

__all__ = [
    'CheckpointFitHook', 'FixMatchPanelHook', 'IterationSeedHook', 'MultiDatasetVisualizationHook',
    'UnreadableImagesHook'
]
