"""Is this environment whole? Versions, families, operators, registries, and what to do.

Only the standard library is imported here, and everything that is examined is tried in
a process of its own: a broken torch must not take the doctor down with it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shlex
import shutil
import site
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

# Import name -> distribution, in each family. Both families write the same folders.
FAMILIES = {
    'onedl': {
        'mmengine': ('onedl-mmengine',),
        'mmcv': ('onedl-mmcv',),
        'mmdet': ('onedl-mmdetection',),
        'mmseg': ('onedl-mmsegmentation',),
        'mmpretrain': ('onedl-mmpretrain',),
    },
    'openmmlab': {
        'mmengine': ('mmengine',),
        'mmcv': ('mmcv', 'mmcv-lite'),
        'mmdet': ('mmdet',),
        'mmseg': ('mmsegmentation',),
        'mmpretrain': ('mmpretrain',),
    },
}
TOOLBOXES = ('mmdet', 'mmseg', 'mmpretrain')
OTHERS = ('torch', 'torchvision', 'numpy', 'timm', 'mmghost')
# Told, but not needed by all: data, evaluation, deployment.
FURTHER = {
    'opencv': (
        'opencv-python',
        'opencv-python-headless',
        'opencv-contrib-python',
        'opencv-contrib-python-headless',
    ),
    'pillow': ('pillow',),
    'pycocotools': ('pycocotools',),
    'faster-coco-eval': ('faster-coco-eval',),
    'onnx': ('onnx',),
    'onnxruntime': ('onnxruntime', 'onnxruntime-gpu'),
    'openvino': ('openvino',),
    'setuptools': ('setuptools',),
}
# OpenMMLab's first generation: distribution -> the first version of the second.
SECOND_GENERATION = {
    'mmcv': (2,),
    'mmcv-full': (2,),
    'mmdet': (3,),
    'mmsegmentation': (1,),
    'mmcls': (1,),
}
# The newest torch whose build for Linux needs no newer driver than one for CUDA 12.
LAST_FOR_CUDA_12 = "'torch<2.10'"
PYTHONS = ((3, 10), (3, 12))  # first and last that the stacks are tested with
PIP = 'python -m pip'
PATIENCE = 300  # for how long probes may say nothing, in s
LEFTOVER = '~'  # pip renames what it is about to remove

# Sign in an error message -> the command that mends it.
MENDS = (
    (r'[Nn]umpy is not available', rf"{PIP} install 'numpy<2'"),
    (r"No module named 'pkg_resources'", rf"{PIP} install 'setuptools<81'"),
    (r'MMCV==\S+ is used but incompatible', rf"{PIP} install 'mmcv-lite>=2.1,<2.2'"),
    (r'MMGHOST_MMCV_OPS', r'unset MMGHOST_MMCV_OPS'),
    (
        r'libGL\.so|libgthread',
        rf'{PIP} uninstall -y opencv-python opencv-contrib-python && '
        rf'{PIP} install --force-reinstall --no-deps opencv-python-headless',
    ),
    (r'numpy\.core\.multiarray failed', rf"{PIP} install 'numpy<2'"),
    (
        r'numpy\.(dtype|ndarray) size changed',
        rf'{PIP} install --force-reinstall --no-cache-dir pycocotools',
    ),
    (r'no kernel image is available', rf'{PIP} install --upgrade torch torchvision'),
    (r"No module named '(?!mm)([A-Za-z0-9-]+)'", rf'{PIP} install \1'),
)


class Problem(NamedTuple):
    """Something that is wrong, and the command that mends it."""

    what: str
    mend: str


class Report(NamedTuple):
    """What was found.

    Attributes:
        python: Version of Python.
        machine: Operating system and processors.
        stack: ``onedl``, ``openmmlab``, ``both`` or ``none``.
        versions: Import name -> version and distribution, None where not installed.
        findings: Probe -> its facts, or ``{'error': text}``.
        problems: What is wrong; empty in a whole environment.
    """

    python: str
    machine: str
    stack: str
    versions: dict[str, str | None]
    findings: dict[str, dict[str, Any]]
    problems: list[Problem]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, as ``--json`` prints it."""
        problems = [problem._asdict() for problem in self.problems]
        return {**self._asdict(), 'problems': problems, 'ok': not problems}

    def to_text(self) -> str:
        """Return the report as a person reads it."""
        rows = [
            ('Python', self.python),
            ('machine', self.machine),
            ('stack', self.stack),
        ]
        rows += [(name, text or '-') for name, text in self.versions.items()]
        rows += [(title, tell(self.findings)) for title, tell in TOLD.items()]
        lines = [f'{title:<16} {text}' for title, text in rows]
        for problem in self.problems:
            lines += ['', f'PROBLEM  {problem.what}', f'mend it  {problem.mend}']
        return '\n'.join(lines if self.problems else [*lines, '', 'No problem found.'])


def tell_gpu(findings: dict[str, dict[str, Any]]) -> str:
    """Say in words which GPU torch can use."""
    facts = findings['torch']
    if 'error' in facts:
        return 'unknown, torch does not work'
    if facts['gpu']:
        return f'{facts["gpus"]} x {facts["gpu"]}, CUDA {facts["cuda"]}'
    built = f'is built for CUDA {facts["cuda"]}' if facts['cuda'] else 'is a CPU build'
    there = findings.get('driver', {}).get('gpus') or []
    hidden = ''
    if there:
        hidden = f'; there is {there[0]}' + (
            ', which CUDA_VISIBLE_DEVICES hides' if facts.get('hidden') else ''
        )
    return f'none that torch can use (torch {built}{hidden})'


def tell_operators(findings: dict[str, dict[str, Any]]) -> str:
    """Say in words whose operators mmcv.ops calls."""
    return {
        'mmcv': 'compiled, of mmcv',
        'stand-ins': 'stand-ins of mmghost, mmcv has none compiled',
        'none': 'none',
    }[findings['mmghost'].get('operators', 'none')]


def tell_registries(findings: dict[str, dict[str, Any]]) -> str:
    """Say in words where ``type='GhostNetV2'`` is found."""
    return ', '.join(findings['registries'].get('found', ['none']))


TOLD = {
    'GPU': tell_gpu,
    'mmcv operators': tell_operators,
    'GhostNetV2 in': tell_registries,
}


def examine() -> Report:
    """Examine the environment of the running Python."""
    installed = installed_distributions()
    findings = run_probes(list(PROBES))
    python = platform.python_version()
    return Report(
        python=python,
        machine=f'{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs',
        stack=stack_of(installed),
        versions=versions_of(installed),
        findings=findings,
        problems=[
            *leftovers(),
            *shadowed_distributions(copies_of_distributions()),
            *diagnose(python, installed, findings),
        ],
    )


def copies_of_distributions() -> dict[str, list[tuple[str, str]]]:
    """Return version and folder of every copy of a distribution, by its name.

    The copy that Python finds first comes first.
    """
    copies: dict[str, list[tuple[str, str]]] = {}
    for dist in importlib.metadata.distributions():
        name = re.sub(r'[-_.]+', '-', dist.metadata['Name'] or '').lower()
        path = getattr(dist, '_path', None)
        if path is not None and path.name.startswith(LEFTOVER):
            continue
        copy = (dist.version, str(dist.locate_file('')))
        if name and copy not in copies.setdefault(name, []):
            copies[name].append(copy)
    return copies


def installed_distributions() -> dict[str, str]:
    """Return the version of every distribution, by its normalised name."""
    return {name: found[0][0] for name, found in copies_of_distributions().items()}


def stack_of(installed: dict[str, str]) -> str:
    """Tell which family the installed toolboxes are of."""
    found = [
        family
        for family, modules in FAMILIES.items()
        if any(name in installed for names in modules.values() for name in names)
    ]
    return 'both' if len(found) == 2 else found[0] if found else 'none'


def versions_of(installed: dict[str, str]) -> dict[str, str | None]:
    """Return what is installed under each import name, such as ``2.3 (onedl-mmcv)``."""
    versions = {name: installed.get(name) for name in OTHERS}
    groups = {
        module: [n for family in FAMILIES.values() for n in family[module]]
        for module in FAMILIES['onedl']
    }
    for module, names in {**groups, **FURTHER}.items():
        found = [
            installed[n] if n == module else f'{installed[n]} ({n})'
            for n in names
            if n in installed
        ]
        versions[module] = ' and '.join(found) or None
    return versions


# -- Probes: each tries one thing and returns facts; an exception is the finding. ------


def probe_torch() -> dict[str, Any]:
    """Import torch and use it, with numpy, and name the GPU."""
    import torch

    torch.ones(2).numpy()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter('always')
        gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    if gpu:
        (torch.ones(2, device='cuda') + 1).cpu()
    return {
        'version': torch.__version__,
        'gpu': gpu,
        'hidden': os.environ.get('CUDA_VISIBLE_DEVICES') in ('', '-1'),
        'warning': str(warned[-1].message).split('\n')[0] if warned else None,
        'gpus': torch.cuda.device_count(),
        'cuda': torch.version.cuda,
        'threads': torch.get_num_threads(),
    }


def probe_driver() -> dict[str, Any]:
    """Ask NVIDIA's driver for GPUs, whatever torch can see."""
    tool = shutil.which('nvidia-smi')
    if tool is None:
        return {'gpus': [], 'cuda': None}
    try:
        told = [
            subprocess.run(
                [tool, *flags], capture_output=True, text=True, timeout=60
            ).stdout
            for flags in ([], ['-L'])
        ]
    except (OSError, subprocess.TimeoutExpired):
        return {'gpus': [], 'cuda': None}
    cuda = re.search(r'CUDA Version: *([\d.]+)', told[0])
    gpus = re.findall(r'^GPU \d+: (.*?)(?: \(UUID.*)?$', told[1], re.MULTILINE)
    return {'gpus': gpus, 'cuda': cuda[1] if cuda else None}


def probe_torchvision() -> dict[str, Any]:
    """Run one of torchvision's compiled operators."""
    import torch
    import torchvision

    box = torch.tensor([[0.0, 0.0, 9.0, 9.0]])
    kept = torchvision.ops.nms(box.repeat(2, 1), torch.ones(2), 0.5)
    if kept.tolist() != [0]:
        raise RuntimeError(f'torchvision.ops.nms kept {kept.tolist()} instead of [0]')
    return {'nms': 'runs'}


def probe_mmcv_ops() -> dict[str, Any]:
    """Look for mmcv's compiled operators, before mmghost could put in its own."""
    if importlib.util.find_spec('mmcv._ext') is None:
        return {'compiled': False}
    importlib.import_module('mmcv._ext')
    return {'compiled': True}


def probe_mmghost() -> dict[str, Any]:
    """Import mmghost and see whose mmcv operators are in use then."""
    import mmghost

    operators = sys.modules.get('mmcv._ext')
    if operators is None:
        used = 'none'
    else:
        used = 'stand-ins' if getattr(operators, '__file__', None) is None else 'mmcv'
    return {'path': mmghost.__path__[0], 'operators': used}


def probe_registries() -> dict[str, Any]:
    """Ask the registry of every installed toolbox for GhostNetV2."""
    import mmghost  # noqa: F401 - registers it

    found, lacking = [], []
    for module in ('mmengine', *TOOLBOXES, 'mmghost'):
        if importlib.util.find_spec(module) is None:
            continue
        registry = importlib.import_module(f'{module}.registry').MODELS
        (found if registry.get('GhostNetV2') else lacking).append(module)
    if lacking:
        raise LookupError(f'GhostNetV2 is not in the registry of {", ".join(lacking)}')
    return {'found': found}


def importer(module: str) -> Callable[[], dict[str, Any]]:
    """Make a probe that imports a module."""

    def probe() -> dict[str, Any]:
        version = getattr(importlib.import_module(module), '__version__', None)
        return {'imports': True, 'version': version}

    return probe


PROBES: dict[str, Callable[[], dict[str, Any]]] = {
    'numpy': importer('numpy'),
    'torch': probe_torch,
    'driver': probe_driver,
    'torchvision': probe_torchvision,
    'mmengine': importer('mmengine'),
    'mmcv': importer('mmcv'),
    'mmcv_ops': probe_mmcv_ops,
    **{module: importer(module) for module in TOOLBOXES},
    'timm': importer('timm'),
    'mmghost': probe_mmghost,
    'registries': probe_registries,
}

# Runs in the child. The current folder is left out of the path, as it is for a tool.
CHILD = """
import importlib.util, sys
sys.path[:] = [folder for folder in sys.path if folder]
spec = importlib.util.spec_from_file_location('mmghost_doctor', sys.argv[1])
doctor = importlib.util.module_from_spec(spec)
spec.loader.exec_module(doctor)
doctor.answer(sys.argv[2:])
"""


def answer(names: list[str]) -> None:
    """Run probes in this process and print each finding as a line of JSON."""
    # What an import prints is not an answer, be it from Python or from C.
    out = os.fdopen(os.dup(1), 'w', encoding='utf-8')
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    for name in names:
        try:
            facts = PROBES[name]()
        except (Exception, SystemExit) as error:  # whatever it is, it was asked for
            facts = {'error': f'{type(error).__name__}: {error}'}
        print(json.dumps({'probe': name, 'facts': facts}), file=out, flush=True)


def run_probes(names: list[str]) -> dict[str, dict[str, Any]]:
    """Run probes in a child process; one that ends or hangs is a finding like any other."""
    findings: dict[str, dict[str, Any]] = {}
    while len(findings) < len(names):
        known = len(findings)
        printed, end = _run_child(names[known:])
        for line in printed.splitlines():
            entry = json.loads(line)
            findings[entry['probe']] = entry['facts']
        # One that said something in time may only be slow: the rest is tried anew.
        slow = end is None and len(findings) > known
        if len(findings) < len(names) and not slow:
            error = end or f'gave no answer within {PATIENCE} s'
            findings[names[len(findings)]] = {'error': error}
    return findings


def _run_child(names: list[str]) -> tuple[str, str | None]:
    """Run probes and return what was printed and how it ended, None if out of time."""
    try:
        child = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', CHILD, __file__, *names],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired as error:
        printed = error.stdout or b''  # bytes in spite of text=True
        return printed.decode() if isinstance(printed, bytes) else printed, None
    said = child.stderr.strip().splitlines()[-1:] or ['']
    return child.stdout, f'the process died with code {child.returncode}: {said[0]}'


# -- Diagnosis: from data to problems, so that tests can give it any environment. ------


def diagnose(
    python: str, installed: dict[str, str], findings: dict[str, dict[str, Any]]
) -> list[Problem]:
    """List what is wrong.

    Args:
        python: Version of Python, such as ``3.11.7``.
        installed: Version of every distribution, by its normalised name.
        findings: What the probes found.

    Returns:
        The problems, those first that may be the cause of others.
    """
    problems = [
        *wrong_python(python),
        *first_generation(installed),
        *doubled_distributions(installed),
        *missing_distributions(installed),
        *known_bad_versions(installed),
        *overwritten_files(installed, findings),
        *unused_gpu(installed, findings),
    ]
    absent = {name for name, text in versions_of(installed).items() if text is None}
    told = [f"No module named '{name}'" for name in absent]
    for name, facts in findings.items():
        error = facts.get('error')
        # What is built on a missing or broken part breaks with it and says the same.
        if error and name not in absent and not any(text in error for text in told):
            told.append(error)
            problems.append(
                Problem(f'{name}: {error}', mend_for(name, error, installed))
            )
    return problems


def wrong_python(python: str) -> list[Problem]:
    """Compare Python with the versions that the stacks are tested with."""
    first, last = PYTHONS
    if first <= tuple(int(part) for part in python.split('.')[:2]) <= last:
        return []
    tested = ' to '.join('.'.join(map(str, version)) for version in PYTHONS)
    return [
        Problem(
            f'Python {python} is not among the tested ones, {tested}',
            'make env PYTHON=python3.11',
        )
    ]


def doubled_distributions(installed: dict[str, str]) -> list[Problem]:
    """Find distributions that have overwritten each other's files."""
    problems = []
    if stack_of(installed) == 'both':
        onedl, openmmlab = (
            [n for names in FAMILIES[family].values() for n in names if n in installed]
            for family in ('onedl', 'openmmlab')
        )
        problems.append(
            Problem(
                f'{", ".join(onedl)} and {", ".join(openmmlab)} are of two families '
                'that write the same folders',
                f'{PIP} uninstall -y {" ".join(onedl + openmmlab)} '
                f"&& {PIP} install -e '.[onedl]'",
            )
        )
    elif {'mmcv', 'mmcv-lite'} <= installed.keys():
        version = installed['mmcv']
        problems.append(
            Problem(
                'mmcv and mmcv-lite are both installed and write the same folder',
                f'{PIP} uninstall -y mmcv mmcv-lite && {PIP} install mmcv=={version}',
            )
        )
    opencv = [name for name in FURTHER['opencv'] if name in installed]
    if len({installed[name] for name in opencv}) > 1:
        problems.append(
            Problem(
                ' and '.join(f'{name} {installed[name]}' for name in opencv)
                + ' write the same folder, cv2, and differ',
                f'{PIP} uninstall -y {" ".join(opencv)} && '
                f'{PIP} install {opencv[0]}=={installed[opencv[0]]}',
            )
        )
    return problems


def leftovers() -> list[Problem]:
    """Find what an interrupted pip has left: folders whose names begin with a tilde."""
    problems = []
    for folder in dict.fromkeys(sys.path):
        found = sorted(Path(folder).glob(f'{LEFTOVER}*')) if folder else []
        if found:
            names = ', '.join(path.name for path in found)
            problems.append(
                Problem(
                    f'an interrupted installation has left {names} in {folder}',
                    'rm -r ' + ' '.join(shlex.quote(str(path)) for path in found),
                )
            )
    return problems


def shadowed_distributions(
    copies: dict[str, list[tuple[str, str]]],
) -> list[Problem]:
    """Find distributions of which Python sees two versions.

    Args:
        copies: What :func:`copies_of_distributions` returned.
    """
    problems = []
    watched = {n for family in FAMILIES.values() for ns in family.values() for n in ns}
    for name in sorted(copies.keys() & {*watched, *OTHERS, *FURTHER['opencv']}):
        versions = list(dict.fromkeys(version for version, _ in copies[name]))
        if len(versions) == 1:
            continue
        told = ' and '.join(f'{version} in {at}' for version, at in copies[name])
        mend = f'{PIP} uninstall -y {name} && {PIP} install {name}=={versions[0]}'
        if copies[name][0][1].rstrip('/') == site.getusersitepackages().rstrip('/'):
            mend = 'export PYTHONNOUSERSITE=1'
        problems.append(Problem(f'{name} is installed twice: {told}', mend))
    return problems


def overwritten_files(
    installed: dict[str, str], findings: dict[str, dict[str, Any]]
) -> list[Problem]:
    """Find packages whose files are not those of the installed distribution."""
    problems = []
    if stack_of(installed) == 'both':
        return problems  # which is why, and is told
    for module in (*FAMILIES['onedl'], 'torch', 'numpy', 'timm'):
        version = findings.get(module, {}).get('version')
        names = [n for family in FAMILIES.values() for n in family.get(module, ())]
        name = next((n for n in names or [module] if n in installed), None)
        if not version or name is None or release(version) == release(installed[name]):
            continue
        problems.append(
            Problem(
                f'the files of {module} are of version {version}, installed is {name} '
                f'{installed[name]}: something has written over it',
                f'{PIP} install --force-reinstall --no-deps {name}=={installed[name]}',
            )
        )
    return problems


def unused_gpu(
    installed: dict[str, str], findings: dict[str, dict[str, Any]]
) -> list[Problem]:
    """Find out why torch does not use a GPU that the driver names."""
    facts, driver = findings.get('torch', {}), findings.get('driver', {})
    gpus = driver.get('gpus')
    if not gpus or 'error' in facts or facts.get('gpu') or facts.get('hidden'):
        return []
    version = (installed.get('torch') or '').split('+')[0]
    built, there = facts.get('cuda'), driver.get('cuda')
    if built is None:
        return [
            Problem(
                f'there is {gpus[0]}, but torch {version} is a build for CPUs',
                f'{PIP} uninstall -y torch torchvision && '
                f'{PIP} install torch=={version} torchvision',
            )
        ]
    if there and release(there)[:1] < release(built)[:1]:
        mend = f'{PIP} install {LAST_FOR_CUDA_12} torchvision'
        if release(there) < (12,):
            mend = f'install an NVIDIA driver for CUDA {built}'
        return [
            Problem(
                f'there is {gpus[0]}, whose driver is for CUDA {there}, but torch '
                f'{version} is built for CUDA {built}',
                mend,
            )
        ]
    reason = facts.get('warning') or 'it gives no reason'
    return [
        Problem(
            f'there is {gpus[0]}, but torch {version} cannot use it: {reason}',
            'python -c "import torch; torch.zeros(1).cuda()"  # and nvidia-smi',
        )
    ]


def first_generation(installed: dict[str, str]) -> list[Problem]:
    """Find OpenMMLab's packages of the time before mmengine."""
    old = [
        name
        for name, first in SECOND_GENERATION.items()
        if name in installed and release(installed[name]) < first
    ]
    if not old:
        return []
    return [
        Problem(
            ', '.join(f'{name} {installed[name]}' for name in old)
            + ": OpenMMLab's first generation, before mmengine",
            f"{PIP} uninstall -y {' '.join(old)} && {PIP} install -e '.[openmmlab]'",
        )
    ]


def missing_distributions(installed: dict[str, str]) -> list[Problem]:
    """Find what mmghost cannot do without."""
    stack = 'openmmlab' if stack_of(installed) == 'openmmlab' else 'onedl'
    missing = [name for name in ('torch', 'torchvision') if name not in installed]
    for module in ('mmengine', 'mmcv'):
        names = [n for family in FAMILIES.values() for n in family[module]]
        if not any(name in installed for name in names):
            missing.append(FAMILIES[stack][module][-1])
    problems = [
        Problem(f'{name} is not installed', f'{PIP} install {name}') for name in missing
    ]
    if not any(
        name in installed
        for family in FAMILIES.values()
        for module in TOOLBOXES
        for name in family[module]
    ):
        problems.append(
            Problem(
                'neither mmdet nor mmseg nor mmpretrain is installed, '
                'so there is nothing to train with',
                f"{PIP} install -e '.[{stack}]'",
            )
        )
    if 'mmghost' not in installed:
        problems.append(Problem('mmghost is not installed', f'{PIP} install -e .'))
    return problems


def known_bad_versions(installed: dict[str, str]) -> list[Problem]:
    """Find versions that import well and fail later."""
    problems = []
    torch = release(installed.get('torch'))
    if torch and torch < (2, 1):
        problems.append(
            Problem(
                f'torch {installed["torch"]} is older than 2.1',
                f"{PIP} install 'torch>=2.1' torchvision",
            )
        )
    mmengine = release(installed.get('mmengine'))
    if torch >= (2, 6) and mmengine and mmengine <= (0, 10, 7):
        problems.append(
            Problem(
                f'mmengine {installed["mmengine"]} cannot resume its own checkpoints '
                f'on torch {installed["torch"]}, which loads weights only; the tools of '
                'mmghost can, those of the toolboxes cannot',
                f"{PIP} install 'torch<2.6' torchvision",
            )
        )
    return problems


def mend_for(probe: str, error: str, installed: dict[str, str]) -> str:
    """Return the command that mends a probe's failure."""
    for sign, mend in MENDS:
        found = re.search(sign, error)
        if found:
            return found.expand(mend)
    if probe in ('torch', 'torchvision'):  # the same torch, its torchvision by pip
        torch = 'torch'
        if 'torch' in installed:  # it may be there without having been installed
            torch += f'=={installed["torch"].split("+")[0]}'
        gone = 'torchvision' if probe == 'torchvision' else 'torch torchvision'
        return f'{PIP} uninstall -y {gone} && {PIP} install {torch} torchvision'
    if probe in ('mmghost', 'registries'):
        return f'{PIP} install --no-deps -e .'
    module = probe.split('_')[0]
    names = [n for family in FAMILIES.values() for n in family.get(module, (module,))]
    name = next((name for name in names if name in installed), names[0])
    if name == 'mmcv':  # would be compiled; without operators, mmghost has stand-ins
        return f'{PIP} uninstall -y mmcv && {PIP} install mmcv-lite=={installed[name]}'
    return f'{PIP} install --force-reinstall --no-deps {name}'


def release(version: str | None) -> tuple[int, ...]:
    """Return the leading numbers of a version: ``2.6.0+cu124`` -> (2, 6, 0)."""
    found = re.match(r'\d+(\.\d+)*', version or '')
    return tuple(int(part) for part in found.group().split('.')) if found else ()
