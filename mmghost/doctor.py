"""Check an environment: versions, operators, registries, and what to do about errors.

Only the standard library is imported, and every package is tried in another process: a
broken torch must not take the doctor down with it.
"""

import importlib.metadata
import json
import platform
import re
import subprocess
import sys
from typing import Any

TOOLBOXES = ('mmdet', 'mmseg', 'mmpretrain')
MODULES = ('mmengine', 'mmcv', *TOOLBOXES)
# Both families of distributions write the same folders.
ONEDL = (
    'onedl-mmengine onedl-mmcv onedl-mmdetection onedl-mmsegmentation onedl-mmpretrain'
)
OPENMMLAB = 'mmengine mmcv-lite mmdet mmsegmentation mmpretrain mmcv'
OPENCV = 'opencv-python opencv-contrib-python opencv-python-headless'
OTHERS = 'torch torchvision numpy timm setuptools onnxruntime openvino mmghost'
PIP = 'python -m pip install'

# Code that uses a module. What it leaves in `fact` is shown.
PROBES = {
    'torch': """import os, shutil, torch
torch.ones(2).numpy()
try:
    torch.cuda.init()
    fact = torch.cuda.get_device_name(0)
except Exception as error:
    reason = str(error).split('. ')[0]
    fact = f'none that torch can use, built for CUDA {torch.version.cuda}: {reason}'
    if shutil.which('nvidia-smi') and 'CUDA_VISIBLE_DEVICES' not in os.environ:
        raise RuntimeError(f'GPU: {fact}') from error""",
    'torchvision': """import torch, torchvision
torchvision.ops.nms(torch.ones(1, 4), torch.ones(1), 0.5)""",
    **{name: f'import {name}' for name in ('cv2', 'mmengine', 'mmcv')},
    'mmghost': """import mmghost.ops, mmcv.ops
native = mmghost.ops.in_use() == 'native'
fact = 'compiled, of mmcv' if native else 'stand-ins of mmghost, mmcv has none'""",
    **{
        name: f'import mmghost, {name}.models, {name}.registry as registry\n'
        "fact = registry.MODELS.get('GhostNetV2').__name__"
        for name in TOOLBOXES
    },
}
CHILD = """import json, os, sys
sys.path[:] = [folder for folder in sys.path if folder]  # as for a script in tools/
answers = os.fdopen(os.dup(1), 'w')
os.dup2(2, 1)  # what an import prints is no answer
for name, code in json.loads(sys.argv[1]).items():
    scope, error = {}, ''
    try:
        exec(code, scope)
    except (Exception, SystemExit) as raised:
        error = f'{type(raised).__name__}: {raised}'
    print(json.dumps([name, scope.get('fact'), error]), file=answers, flush=True)"""

# Pattern in an error -> what helps.
REMEDIES = {
    'GPU: ': 'install the torch that fits your driver: docs/installation.md, "GPU"',
    "No module named 'pkg_resources'": f"{PIP} 'setuptools<81'",
    'is used but incompatible': f"{PIP} 'mmcv-lite>=2.1,<2.2'",
    '[Nn]umpy is not available|multiarray|numpy.dtype size': f"{PIP} 'numpy<2'",
    'libGL|libgthread': f'{PIP} --force-reinstall --no-deps opencv-python-headless',
    'MMGHOST_MMCV_OPS': 'unset MMGHOST_MMCV_OPS',
    'mmcv.*undefined symbol': 'docs/installation.md, "Compiled operators"',
    "No module named 'mmghost'": f'{PIP} -e .',
    r"No module named '(?!mm|torchvision)(\w+)'": rf'{PIP} \1',
}


def run_probes() -> dict[str, tuple[str | None, str]]:
    """Return fact and error of each probe; one that ends its process is an error too."""
    answers: dict[str, tuple[str | None, str]] = {}
    while left := {name: PROBES[name] for name in PROBES if name not in answers}:
        command = [sys.executable, '-W', 'ignore', '-c', CHILD, json.dumps(left)]
        child = subprocess.run(command, capture_output=True, text=True)
        for name, fact, error in map(json.loads, child.stdout.splitlines()):
            answers[name] = (fact, error)
        if dead := [name for name in left if name not in answers]:
            answers[dead[0]] = (None, f'its process ended with {child.returncode}')
    return answers


def diagnose(
    versions: dict[str, str], answers: dict[str, tuple[str | None, str]]
) -> list[tuple[str, str]]:
    """Return what is wrong, each with its remedy; causes come before their effects."""
    onedl = [name for name in ONEDL.split() if name in versions]
    openmmlab = [name for name in OPENMMLAB.split() if name in versions]
    problems, seen = [], {''}
    extra = f"{PIP} -e '.[{'openmmlab' if openmmlab and not onedl else 'onedl'}]'"
    clash = onedl + openmmlab if onedl else [n for n in openmmlab if n[:4] == 'mmcv']
    if len(clash) > 1 and openmmlab:
        remedy = f'python -m pip uninstall -y {" ".join(clash)} && {extra}'
        problems.append((f'{" ".join(clash)} write the same folders', remedy))
    torch = versions.get('torch', '0').split('+')[0]
    if 'mmengine' in versions and [int(n) for n in torch.split('.')[:2]] >= [2, 6]:
        what = f"mmengine on torch {torch}: the toolboxes' own tools cannot resume"
        problems.append((what, f"{PIP} 'torch<2.6' torchvision"))
    absent = {n for n in TOOLBOXES if f"No module named '{n}'" in answers[n][1]}
    if len(absent) == len(TOOLBOXES):
        problems.append(('neither mmdet, mmseg nor mmpretrain is installed', extra))
    names = dict(zip(MODULES, (OPENMMLAB if openmmlab else ONEDL).split()))
    names['torchvision'] = f'torch=={torch} torchvision'  # never another torch
    for name, (_, error) in answers.items():
        # What is built on a broken part fails with the same words.
        if error not in seen and name not in absent:
            found = [(re.search(p, error), text) for p, text in REMEDIES.items()]
            known = [match.expand(text) for match, text in found if match]
            force = '' if 'No module' in error else '--force-reinstall --no-deps '
            known.append(f'{PIP} {force}{names.get(name, name)}')
            problems.append((f'{name}: {error}', known[0]))
        seen.add(error)
    return problems


def examine() -> dict[str, Any]:
    """Return versions, facts and problems of the environment of this Python."""
    versions: dict[str, str] = {}
    for dist in importlib.metadata.distributions():  # the first of a name is imported
        name = re.sub('[-_.]+', '-', dist.metadata['Name'] or '').lower()
        versions.setdefault(name, dist.version)
    answers = run_probes()
    problems = diagnose(versions, answers)
    shown = f'{OTHERS} {OPENCV} {ONEDL} {OPENMMLAB}'.split()
    return {
        'python': platform.python_version(),
        'versions': {name: versions[name] for name in shown if name in versions},
        'GPU': answers['torch'][0],
        'mmcv operators': answers['mmghost'][0],
        'GhostNetV2 in': ', '.join(name for name in TOOLBOXES if answers[name][0]),
        'problems': [{'what': what, 'remedy': remedy} for what, remedy in problems],
        'ok': not problems,
    }


def to_text(report: dict[str, Any]) -> str:
    """Return a report of :func:`examine` as lines to read."""
    rows = {**report['versions'], **report}
    titles = [title for title in rows if title not in ('versions', 'problems', 'ok')]
    lines = [f'{title:<23} {rows[title] or "none"}' for title in titles]
    for problem in report['problems']:
        lines += ['', f'PROBLEM {problem["what"]}', f'remedy  {problem["remedy"]}']
    return '\n'.join(lines + ['', 'No problem found.'] * report['ok'])
