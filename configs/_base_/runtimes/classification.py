# Runtime of the classification configs: that of mmpretrain, and the hooks that keep a
# run safe.
_base_ = 'mmpretrain::_base_/default_runtime.py'
custom_imports = dict(imports=['mmghost'], allow_failed_imports=False)

default_hooks = dict(
    checkpoint=dict(save_best='auto'),
    preflight=dict(type='mmghost.PreflightHook'),
    finite=dict(type='mmghost.FiniteHook'),
    interrupt=dict(type='mmghost.InterruptHook'),
    exact_resume=dict(type='mmghost.ExactResumeHook'))
