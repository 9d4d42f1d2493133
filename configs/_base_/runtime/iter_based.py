# Runtime of iteration-based training: what is logged, saved and drawn, and reproducible randomness.
default_scope = 'mmseg'
custom_imports = dict(imports=['s5_mm'], allow_failed_imports=False)
runner_type = 's5_mm.S5Runner'

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    # Seconds after which a process that waits for another one gives up.
    dist_cfg=dict(backend='nccl', timeout=1800))
vis_backends = [dict(type='LocalVisBackend')]  # TensorBoard: append dict(type='TensorboardVisBackend')
visualizer = dict(type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='s5_mm.SafeCheckpointHook', by_epoch=False, interval=5000, max_keep_ckpts=3, save_best='mIoU',
        rule='greater'),
    sampler_seed=dict(type='s5_mm.SamplerSeedHook'),
    resume=dict(type='s5_mm.ResumeHook'),
    visualization=dict(type='SegVisualizationHook'),
    preflight=dict(type='s5_mm.PreflightHook'),
    finite=dict(type='s5_mm.FiniteHook'),
    signals=dict(type='s5_mm.SignalHook'),
    work_dir_lock=dict(type='s5_mm.WorkDirLockHook'),
    radiometry=dict(type='s5_mm.RadiometryHook'))
custom_hooks = [
    dict(type='s5_mm.IterationSeedHook'),
    dict(type='s5_mm.UnreadableImagesHook'),
    dict(type='s5_mm.DivergenceHook'),
]
