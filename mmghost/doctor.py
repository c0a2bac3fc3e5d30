"""Is this environment whole? Versions, families, operators, registries, and what to do.

Only the standard library is imported here, and everything that is examined is tried in
a process of its own: a broken torch must not take the doctor down with it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import platform
import re
import subprocess
import sys
from collections.abc import Callable
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
PYTHONS = ((3, 10), (3, 12))  # first and last that the stacks are tested with
PIP = 'python -m pip'

# Sign in an error message -> the command that mends it.
MENDS = (
    (r'[Nn]umpy is not available', rf"{PIP} install 'numpy<2'"),
    (r"No module named 'pkg_resources'", rf"{PIP} install 'setuptools<81'"),
    (r'MMCV==\S+ is used but incompatible', rf"{PIP} install 'mmcv-lite>=2.1,<2.2'"),
    (r'MMGHOST_MMCV_OPS', r'unset MMGHOST_MMCV_OPS'),
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
        stack: ``onedl``, ``openmmlab``, ``both`` or ``none``.
        versions: Import name -> version and distribution, None where not installed.
        findings: Probe -> its facts, or ``{'error': text}``.
        problems: What is wrong; empty in a whole environment.
    """

    python: str
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
        rows = [('Python', self.python), ('stack', self.stack)]
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
    return f'none that torch can use (torch {built})'


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
        stack=stack_of(installed),
        versions=versions_of(installed),
        findings=findings,
        problems=diagnose(python, installed, findings),
    )


def installed_distributions() -> dict[str, str]:
    """Return the version of every distribution, by its normalised name."""
    return {
        re.sub(r'[-_.]+', '-', dist.metadata['Name'] or '').lower(): dist.version
        for dist in importlib.metadata.distributions()
    }


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
    for module in FAMILIES['onedl']:
        names = [n for family in FAMILIES.values() for n in family[module]]
        found = [f'{installed[n]} ({n})' for n in names if n in installed]
        versions[module] = ' and '.join(found) or None
    return versions


# -- Probes: each tries one thing and returns facts; an exception is the finding. ------


def probe_torch() -> dict[str, Any]:
    """Import torch and use it, with numpy, and name the GPU."""
    import torch

    torch.ones(2).numpy()
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    if gpu:
        (torch.ones(2, device='cuda') + 1).cpu()
    return {
        'gpu': gpu,
        'gpus': torch.cuda.device_count(),
        'cuda': torch.version.cuda,
        'threads': torch.get_num_threads(),
    }


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
        importlib.import_module(module)
        return {'imports': True}

    return probe


PROBES: dict[str, Callable[[], dict[str, Any]]] = {
    'torch': probe_torch,
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
    out, sys.stdout = sys.stdout, sys.stderr  # what an import prints is not an answer
    for name in names:
        try:
            facts = PROBES[name]()
        except Exception as error:  # whatever it is, it is what was asked for
            facts = {'error': f'{type(error).__name__}: {error}'}
        print(json.dumps({'probe': name, 'facts': facts}), file=out, flush=True)


def run_probes(names: list[str]) -> dict[str, dict[str, Any]]:
    """Run probes in a child process; one that dies is a finding like any other."""
    findings: dict[str, dict[str, Any]] = {}
    while len(findings) < len(names):
        left = names[len(findings) :]
        child = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', CHILD, __file__, *left],
            capture_output=True,
            text=True,
            check=False,
        )
        for line in child.stdout.splitlines():
            entry = json.loads(line)
            findings[entry['probe']] = entry['facts']
        if child.returncode and len(findings) < len(names):
            said = child.stderr.strip().splitlines()[-1:] or ['']
            findings[names[len(findings)]] = {
                'error': f'the process died with code {child.returncode}: {said[0]}'
            }
    return findings


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
        *doubled_distributions(installed),
        *missing_distributions(installed),
        *known_bad_versions(installed),
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
    return [
        Problem(
            f'Python {python} is not among the tested ones, 3.10 to 3.12',
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
    return problems


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
        torch = f'torch=={installed["torch"].split("+")[0]}'
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
