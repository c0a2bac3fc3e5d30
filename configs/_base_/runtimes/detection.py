# Runtime of every detection and instance segmentation config: mmdet's defaults, and
# before the first iteration a check that the data and the checkpoint fit (preflight).
default_scope = 'mmdet'
custom_imports = dict(imports=['mmghost'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1, save_best='auto'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='DetVisualizationHook'),
    preflight=dict(type='mmghost.PreflightHook'),
    finite=dict(type='mmghost.FiniteHook'),
    interrupt=dict(type='mmghost.InterruptHook'),
    exact_resume=dict(type='mmghost.ExactResumeHook'))

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(
    type='DetLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
log_level = 'INFO'
randomness = dict(seed=None, deterministic=False)

load_from = None
resume = False
