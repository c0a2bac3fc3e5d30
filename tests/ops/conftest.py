"""Puts the stand-ins in their place before any test module here imports mmcv.ops."""

import mmghost  # noqa: F401
