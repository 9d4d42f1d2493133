from .dataset_filter_hook import DatasetFilterHook
from .divergence_hook import DivergenceHook
from .finite_hook import FiniteHook
from .iteration_seed_hook import IterationSeedHook
from .loss_ramp_hook import LossRampHook
from .mean_teacher_hook import MeanTeacherHook
from .multi_dataset_visualization_hook import MultiDatasetVisualizationHook
from .preflight_hook import PreflightHook
from .pseudo_label_hook import PseudoLabelHook
from .radiometry_hook import RadiometryHook
from .reconstruction_hook import ReconstructionHook
from .resume_hook import ResumeHook
from .safe_checkpoint_hook import SafeCheckpointHook
from .sampler_seed_hook import SamplerSeedHook
from .semi_panel_hook import SemiPanelHook
from .signal_hook import SignalHook
from .unreadable_images_hook import UnreadableImagesHook
from .work_dir_lock_hook import WorkDirLockHook

__all__ = [
    'DatasetFilterHook', 'DivergenceHook', 'FiniteHook', 'IterationSeedHook', 'LossRampHook', 'MeanTeacherHook',
    'MultiDatasetVisualizationHook', 'PreflightHook', 'PseudoLabelHook', 'RadiometryHook', 'ReconstructionHook',
    'ResumeHook', 'SafeCheckpointHook', 'SamplerSeedHook', 'SemiPanelHook', 'SignalHook',
    'UnreadableImagesHook', 'WorkDirLockHook'
]
