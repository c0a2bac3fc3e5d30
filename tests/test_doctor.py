"""The doctor names what is broken and the command that helps."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmghost import doctor

ONEDL = dict.fromkeys(doctor.ONEDL.split(), '1.0') | {
    'torch': '2.14.1+cpu', 'torchvision': '0.29.1', 'numpy': '2.2.6', 'mmghost': '2.0.0',
}  # fmt: skip
OPENMMLAB = dict.fromkeys(doctor.OPENMMLAB.split()[:-1], '1.0') | {
    'torch': '2.1.2', 'torchvision': '0.16.2', 'numpy': '1.26.4', 'mmghost': '2.0.0',
}  # fmt: skip


def diagnose(versions: dict[str, str], **errors: str) -> list[tuple[str, str]]:
    """Diagnose an environment in which only the named probes fail."""
    answers = {name: (None, errors.get(name, '')) for name in doctor.PROBES}
    return doctor.diagnose(versions, answers)


def _run(root, *flags: str, path: Path | None = None) -> subprocess.CompletedProcess:
    """Run the tool; modules in a folder take the place of those installed."""
    return subprocess.run(
        [sys.executable, str(root / 'tools' / 'doctor.py'), *flags],
        env={**os.environ, 'PYTHONPATH': f'{path or ""}:{root}'.lstrip(':')},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize('versions', [ONEDL, OPENMMLAB])
def test_a_whole_environment_has_no_problem(versions):
    assert diagnose(versions) == []


@pytest.mark.parametrize(
    ('versions', 'words'),
    [
        (
            {**ONEDL, 'mmcv-lite': '2.1.0'},
            r"onedl-mmcv onedl-mmdetection.* '.\[onedl\]'",
        ),
        ({**OPENMMLAB, 'mmcv': '2.1.0'}, r"-y mmcv-lite mmcv && .*'.\[openmmlab\]'"),
        ({**OPENMMLAB, 'torch': '2.14.1'}, "cannot resume.*'torch<2.6'"),
    ],
    ids=['two families', 'two mmcv', 'mmengine on new torch'],
)
def test_distributions_that_do_not_fit_together_are_found(versions, words):
    (problem,) = diagnose(versions)
    assert re.search(words, ' '.join(problem))


@pytest.mark.parametrize(
    ('versions', 'probe', 'error', 'remedy'),
    [
        (
            ONEDL, 'torchvision', 'operator torchvision::nms does not exist',
            'install --force-reinstall --no-deps torch==2.14.1 torchvision',
        ),
        (ONEDL, 'torchvision', "No module named 'torchvision'", 'torch==2.14.1 torchvision'),
        (OPENMMLAB, 'torch', 'Numpy is not available', "'numpy<2'"),
        (OPENMMLAB, 'mmengine', "No module named 'pkg_resources'", "'setuptools<81'"),
        (OPENMMLAB, 'mmdet', 'MMCV==2.2.0 is used but incompatible', "'mmcv-lite>=2.1,<2.2'"),
        (OPENMMLAB, 'mmcv', "No module named 'mmcv'", 'install mmcv-lite'),
        (ONEDL, 'mmcv', "No module named 'mmcv'", 'install onedl-mmcv'),
        (ONEDL, 'mmseg', "No module named 'ftfy'", 'install ftfy'),
        (ONEDL, 'mmghost', "No module named 'mmghost'", 'install -e .'),
        (ONEDL, 'mmghost', 'MMGHOST_MMCV_OPS=native, but', 'unset MMGHOST_MMCV_OPS'),
        (
            ONEDL, 'cv2', 'libGL.so.1: cannot open shared object file',
            '--no-deps opencv-python-headless',
        ),
        (ONEDL, 'torch', 'GPU: none that torch can use', 'fits your driver'),
        (ONEDL, 'mmpretrain', 'its process ended with -11', '--no-deps onedl-mmpretrain'),
    ],
)  # fmt: skip
def test_an_error_is_reported_once_with_the_command_that_helps(
    versions, probe, error, remedy
):
    # What is built on the broken part fails with the same words.
    ((what, found),) = diagnose(versions, **{probe: error, 'mmpretrain': error})
    assert what == f'{probe}: {error}'
    assert found.endswith(remedy) or remedy in found


def test_a_missing_toolbox_is_no_problem_but_the_lack_of_all_is():
    gone = {name: f"No module named '{name}'" for name in doctor.TOOLBOXES}
    assert diagnose(ONEDL, mmseg=gone['mmseg']) == []
    assert diagnose(ONEDL, **gone)[0][1] == "python -m pip install -e '.[onedl]'"


def test_this_environment_is_whole_and_the_tool_says_so(root):
    done = _run(root, '--json')
    report = json.loads(done.stdout)
    assert done.returncode == 0, report['problems']
    assert report['ok'] and report['versions']['torch']
    assert 'mmdet' in report['GhostNetV2 in']


def test_the_tool_works_when_packages_are_broken_or_end_the_process(root, tmp_path):
    """In an environment where torch ends Python, cv2 has no libGL, and mmdet is old."""
    (tmp_path / 'torch.py').write_text('import os; print("noise"); os._exit(3)')
    (tmp_path / 'cv2.py').write_text('raise ImportError("libGL.so.1: cannot open")')
    for name in ('mmengine', 'mmcv', 'mmghost', 'timm'):
        (tmp_path / f'{name}.py').write_text('raise SystemExit("stop")')
    done = _run(root, path=tmp_path)
    assert done.returncode == 1
    assert 'torch: its process ended with 3' in done.stdout
    assert 'noise' not in done.stdout
    assert 'PROBLEM cv2: ImportError: libGL.so.1: cannot open' in done.stdout
    assert 'PROBLEM mmengine: SystemExit: stop' in done.stdout
