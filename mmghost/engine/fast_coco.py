"""COCO's evaluation by faster-coco-eval in place of pycocotools: the same numbers, sooner.

Importing this module is enough, if it comes before mmdet. In a config:
``custom_imports = dict(imports=['mmghost.engine.fast_coco', 'mmghost'])``.
"""

import sys

from ..errors import UserError

if 'mmdet.datasets.api_wrappers' in sys.modules:
    raise UserError(
        'mmghost.engine.fast_coco must be imported before mmdet: name it first in '
        "custom_imports, dict(imports=['mmghost.engine.fast_coco', 'mmghost'])"
    )
try:
    from faster_coco_eval import init_as_pycocotools
except ImportError as error:
    raise UserError(
        f'mmghost.engine.fast_coco needs a library that is not there ({error}): '
        "pip install 'faster-coco-eval>=1.8,<2', or leave it out of custom_imports"
    ) from None

init_as_pycocotools()
