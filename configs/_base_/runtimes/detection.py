# Runtime of the detection and instance segmentation configs: that of mmdet, and the
# hooks that keep a run safe. The recipes for GPUs train in 32 bit as mmdet's do; with
# --amp, ChannelsLastHook (imagenet_450e.py says when) is worth a try.
_base_ = 'mmdet::_base_/default_runtime.py'
custom_imports = dict(imports=['mmghost'], allow_failed_imports=False)

default_hooks = dict(
    checkpoint=dict(save_best='auto'),
    preflight=dict(type='mmghost.PreflightHook'),
    finite=dict(type='mmghost.FiniteHook'),
    interrupt=dict(type='mmghost.InterruptHook'),
    exact_resume=dict(type='mmghost.ExactResumeHook'))
randomness = dict(seed=None, deterministic=False)
