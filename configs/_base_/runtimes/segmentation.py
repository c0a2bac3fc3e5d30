# Runtime of the semantic segmentation configs: the defaults of mmseg, which counts in
# iterations, and the hooks that keep a run safe. Written out, because `mmseg::` bases
# do not resolve on the onedl stack.
default_scope = 'mmseg'
custom_imports = dict(imports=['mmghost'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=16000, save_best='mIoU'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
    preflight=dict(type='mmghost.PreflightHook'),
    finite=dict(type='mmghost.FiniteHook'),
    interrupt=dict(type='mmghost.InterruptHook'),
    exact_resume=dict(type='mmghost.ExactResumeHook'))

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(
    type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(by_epoch=False)
log_level = 'INFO'
randomness = dict(seed=None, deterministic=False)

load_from = None
resume = False

tta_model = dict(type='SegTTAModel')
