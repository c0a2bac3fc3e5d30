"""Packaging of mmghost: what is installed, and the files that MIM looks for.

Which versions are tested together stands in ``requirements/*.txt``; the lower bounds
below are only what the code needs. There is no hard dependency: mmghost is added to an
environment that has its toolboxes, and a requirement on one family of distributions
(the onedl forks or OpenMMLab's own) would install it over the other. The extras name
torch without a version, so that pip leaves alone the build that fits one's GPU.
"""

import os
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent

# MIM reads these from `mmghost/.mim`, as it does from every OpenMMLab package.
MIM_FILES = ('configs', 'tools', 'model-index.yml')

EXTRAS = {
    'onedl': [
        'torch',
        'torchvision',
        'onedl-mmengine>=0.10.8',
        'onedl-mmcv>=2.3',
        'onedl-mmdetection>=3.4',
        'onedl-mmsegmentation>=1.3',
        'onedl-mmpretrain>=1.3',
        'timm>=1.0.9',
    ],
    'openmmlab': [
        'torch',
        'torchvision',
        'numpy<2',  # the releases of 2024 were made before numpy 2
        'setuptools<81',  # mmengine imports pkg_resources
        'mmengine>=0.10.4',
        'mmcv-lite>=2.1,<2.2',  # mmdet 3.3 refuses mmcv 2.2
        'mmdet>=3.3',
        'mmsegmentation>=1.2.2',
        'mmpretrain>=1.2',
        'ftfy',  # imported by mmsegmentation, which does not ask for them
        'regex',
        'timm>=1.0.9',
    ],
    'weights': ['huggingface-hub', 'protobuf', 'safetensors'],
    'deploy': ['onnx', 'onnxruntime', 'onnxscript', 'openvino'],
    'datasets': ['supervision>=0.31,<0.32'],  # labels in VOC's and YOLO's form
    'eval': ['faster-coco-eval>=1.8,<2'],
    'visualization': ['grad-cam>=1.5.4'],
    'notebook': ['nbclient>=0.10', 'ipykernel>=6.29'],  # demo/mmghost_tour.ipynb
    'tests': [
        'pytest',
        'pytest-xdist',
        'pytest-timeout',
        'markdown-it-py',  # the pages' links and code blocks
        'ncnn',  # parity of exported files; CI has executorch as well
        'pnnx',
        'ai-edge-litert',
        'ruff',
        'import-linter',
    ],
}


class BuildPyWithMim(build_py):
    """Put configs, tools and model-index.yml into ``mmghost/.mim``.

    A wheel gets copies. An editable install (PEP 660, where OpenMMLab's usual hook on
    ``develop`` is never called) gets links in the source tree, so that MIM sees edits.
    """

    def run(self) -> None:
        """Build the modules as always, then add the files for MIM."""
        super().run()
        if self.editable_mode:
            folder = ROOT / 'mmghost' / '.mim'
            place = link
        else:
            folder = Path(self.build_lib) / 'mmghost' / '.mim'
            place = copy
        remove(folder)  # a build folder or a checkout may hold an older state
        folder.mkdir(parents=True)
        for name in MIM_FILES:
            place(ROOT / name, folder / name)


def remove(path: Path) -> None:
    """Remove a file, a folder or a link; what a link leads to stays."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)  # does not follow the links inside


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder, without what Python leaves behind."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__'))
    else:
        shutil.copy2(source, target)


def link(source: Path, target: Path) -> None:
    """Link to a file or a folder; copy where links are not allowed (Windows)."""
    try:
        target.symlink_to(os.path.relpath(source, target.parent))
    except OSError:
        copy(source, target)


def version() -> str:
    """Read the version without importing mmghost, which needs torch."""
    text = (ROOT / 'mmghost' / 'version.py').read_text(encoding='utf-8')
    return re.search(r"__version__ = '(.+)'", text).group(1)


def readme() -> str:
    """Read the long description; a build does not fail for want of it."""
    path = ROOT / 'README.md'
    return path.read_text(encoding='utf-8') if path.is_file() else ''


setup(
    name='mmghost',
    version=version(),
    description='GhostNetV2 as a backbone for OpenMMLab: detection, segmentation and '
    'classification',
    long_description=readme(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    keywords='GhostNetV2, GhostNet, DFC attention, OpenMMLab, backbone',
    classifiers=[
        'Development Status :: 5 - Production/Stable',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    python_requires='>=3.10',
    packages=find_packages(include=['mmghost', 'mmghost.*']),
    include_package_data=True,
    install_requires=[],
    extras_require=EXTRAS,
    cmdclass={'build_py': BuildPyWithMim},
    zip_safe=False,
)
