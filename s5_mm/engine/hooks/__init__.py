from .dataset_filter_hook import DatasetFilterHook
from .divergence_hook import DivergenceHook
from .iteration_seed_hook import IterationSeedHook
from .loss_ramp_hook import LossRampHook
from .mean_teacher_hook import MeanTeacherHook
from .multi_dataset_visualization_hook import MultiDatasetVisualizationHook
from .preflight_hook import PreflightHook
from .pseudo_label_hook import PseudoLabelHook
from .sampler_seed_hook import SamplerSeedHook
from .semi_panel_hook import SemiPanelHook
from .unreadable_images_hook import UnreadableImagesHook

__all__ = [
    'DatasetFilterHook', 'DivergenceHook', 'IterationSeedHook', 'LossRampHook', 'MeanTeacherHook',
    'MultiDatasetVisualizationHook', 'PreflightHook', 'PseudoLabelHook', 'SamplerSeedHook', 'SemiPanelHook',
    'UnreadableImagesHook'
]
