"""The doctor names what is wrong, and the command that mends it."""

import json
import os
import subprocess
import sys
import venv

import pytest

from mmghost import doctor

ONEDL = {
    'torch': '2.14.1+cpu',
    'torchvision': '0.29.1',
    'numpy': '2.2.6',
    'timm': '1.0.31',
    'mmghost': '0.1.0',
    'onedl-mmengine': '0.10.12',
    'onedl-mmcv': '2.3.6',
    'onedl-mmdetection': '3.5.1',
    'onedl-mmsegmentation': '1.4.2',
    'onedl-mmpretrain': '1.3.6',
}
OPENMMLAB = {
    'torch': '2.1.2',
    'torchvision': '0.16.2',
    'numpy': '1.26.4',
    'mmghost': '0.1.0',
    'mmengine': '0.10.7',
    'mmcv-lite': '2.1.0',
    'mmdet': '3.3.0',
}


def diagnose(installed: dict, python: str = '3.11.7', **errors: str):
    """Diagnose an environment in which only the named probes fail."""
    findings = {probe: {} for probe in doctor.PROBES}
    findings.update({probe: {'error': text} for probe, text in errors.items()})
    return doctor.diagnose(python, installed, findings)


@pytest.mark.parametrize('installed', [ONEDL, OPENMMLAB])
def test_whole_environment_has_no_problem(installed):
    assert diagnose(installed) == []


@pytest.mark.parametrize(
    ('installed', 'stack'),
    [
        (ONEDL, 'onedl'),
        (OPENMMLAB, 'openmmlab'),
        ({**ONEDL, 'mmdet': '3.3.0'}, 'both'),
        ({'torch': '2.14.1'}, 'none'),
    ],
)
def test_stack_is_recognised(installed, stack):
    assert doctor.stack_of(installed) == stack


def test_both_families_are_one_problem_whose_command_removes_both():
    (problem,) = diagnose({**ONEDL, 'mmcv-lite': '2.1.0'})
    assert 'mmcv-lite' in problem.what
    for name in [name for name in ONEDL if name.startswith('onedl')] + ['mmcv-lite']:
        assert f' {name} ' in problem.mend.split('&&')[0]


def test_mmcv_beside_mmcv_lite_is_a_problem():
    (problem,) = diagnose({**OPENMMLAB, 'mmcv': '2.1.0'})
    assert 'mmcv and mmcv-lite' in problem.what
    assert problem.mend.endswith('install mmcv==2.1.0')


@pytest.mark.parametrize(
    ('missing', 'mend'),
    [
        ('torch', 'install torch'),
        ('torchvision', 'install torchvision'),
        ('onedl-mmcv', 'install onedl-mmcv'),
        ('onedl-mmengine', 'install onedl-mmengine'),
        ('mmghost', 'install -e .'),
    ],
)
def test_missing_distribution_is_told_once_with_its_command(missing, mend):
    installed = {name: version for name, version in ONEDL.items() if name != missing}
    module = missing.removeprefix('onedl-')
    gone = f"ModuleNotFoundError: No module named '{module}'"
    (problem,) = diagnose(
        installed, **{module: gone, 'mmdet': gone, 'registries': gone}
    )
    assert problem.what == f'{missing} is not installed'
    assert problem.mend == f'python -m pip {mend}'


def test_toolbox_that_is_not_there_is_no_problem_but_none_is():
    only_det = {
        name: version
        for name, version in ONEDL.items()
        if name not in ('onedl-mmsegmentation', 'onedl-mmpretrain')
    }
    gone = "ModuleNotFoundError: No module named 'mmseg'"
    assert diagnose(only_det, mmseg=gone) == []
    del only_det['onedl-mmdetection']
    (problem,) = diagnose(only_det, mmseg=gone)
    assert problem.mend == "python -m pip install -e '.[onedl]'"


@pytest.mark.parametrize(
    ('installed', 'probe', 'error', 'mend'),
    [
        (
            ONEDL,
            'torchvision',
            'RuntimeError: operator torchvision::nms does not exist',
            'uninstall -y torchvision && python -m pip install torch==2.14.1 torchvision',
        ),
        (
            {**OPENMMLAB, 'numpy': '2.2.6'},
            'torch',
            'RuntimeError: Numpy is not available',
            "install 'numpy<2'",
        ),
        (
            OPENMMLAB,
            'mmengine',
            "ModuleNotFoundError: No module named 'pkg_resources'",
            "install 'setuptools<81'",
        ),
        (
            OPENMMLAB,
            'mmdet',
            'AssertionError: MMCV==2.2.0 is used but incompatible. Please install',
            "install 'mmcv-lite>=2.1,<2.2'",
        ),
        (
            {**OPENMMLAB, 'mmcv': '2.1.0', 'mmcv-lite': ''},
            'mmcv_ops',
            'ImportError: _ext.so: undefined symbol: _ZN2at4',
            'mmcv-lite==2.1.0',
        ),
        (
            ONEDL,
            'mmghost',
            'ImportError: MMGHOST_MMCV_OPS=native asks for compiled operators',
            'unset MMGHOST_MMCV_OPS',
        ),
        (
            ONEDL,
            'mmseg',
            "ModuleNotFoundError: No module named 'ftfy'",
            'install ftfy',
        ),
        (
            ONEDL,
            'mmdet',
            'SyntaxError: invalid syntax',
            'install --force-reinstall --no-deps onedl-mmdetection',
        ),
        (
            ONEDL,
            'registries',
            'LookupError: GhostNetV2 is not in the registry of mmseg',
            'install --no-deps -e .',
        ),
    ],
)
def test_failing_probe_is_told_with_what_mends_it(installed, probe, error, mend):
    installed = {name: version for name, version in installed.items() if version}
    (problem,) = diagnose(installed, **{probe: error})
    assert problem.what == f'{probe}: {error}'
    assert problem.mend.endswith(mend)


def test_one_broken_part_is_told_once_however_many_stand_on_it():
    error = 'OSError: libcudart.so.13: cannot open shared object file'
    (problem,) = diagnose(ONEDL, torch=error, torchvision=error, mmcv=error)
    assert problem.what.startswith('torch:')


@pytest.mark.parametrize(
    ('torch', 'told'), [('2.0.1', 'older than 2.1'), ('2.6.0', 'cannot resume')]
)
def test_versions_that_fail_later_are_known(torch, told):
    (problem,) = diagnose({**OPENMMLAB, 'torch': torch})
    assert told in problem.what


@pytest.mark.parametrize('python', ['3.9.18', '3.13.0'])
def test_untested_python_is_a_problem(python):
    (problem,) = diagnose(ONEDL, python=python)
    assert python in problem.what


def test_probe_that_kills_its_process_is_a_finding_and_the_others_still_run(
    tmp_path, monkeypatch
):
    (tmp_path / 'mmdet.py').write_text('print("an import that talks")')
    (tmp_path / 'mmseg.py').write_text('import os; os.abort()')
    (tmp_path / 'mmpretrain.py').touch()
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    findings = doctor.run_probes(['mmdet', 'mmseg', 'mmpretrain'])
    assert 'died with code -6' in findings['mmseg']['error']
    whole = {'imports': True, 'version': None}
    assert findings['mmdet'] == findings['mmpretrain'] == whole


@pytest.mark.parametrize(
    ('module', 'error'),
    [
        ('import sys; sys.exit(0)', 'SystemExit: 0'),
        ('import os; os._exit(0)', 'died with code 0'),
        ('import time; time.sleep(99)', 'gave no answer within 5 s'),
        ('import os; os.system("echo not JSON")', None),
    ],
)
def test_probe_that_ends_its_process_hangs_or_talks_is_told_and_the_next_one_runs(
    tmp_path, monkeypatch, module, error
):
    (tmp_path / 'mmdet.py').touch()
    (tmp_path / 'mmseg.py').write_text(module)
    (tmp_path / 'mmpretrain.py').touch()
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    if 'sleep' in module:
        monkeypatch.setattr(doctor, 'PATIENCE', 5)
    findings = doctor.run_probes(['mmdet', 'mmseg', 'mmpretrain'])
    whole = {'imports': True, 'version': None}
    assert findings['mmdet'] == findings['mmpretrain'] == whole
    assert error in findings['mmseg']['error'] if error else findings['mmseg'] == whole


def test_a_torch_that_pip_does_not_know_is_told_with_a_command():
    installed = {name: version for name, version in ONEDL.items() if name != 'torch'}
    problems = diagnose(installed, torchvision='OSError: undefined symbol')
    mends = [problem.mend for problem in problems if 'undefined' in problem.what]
    assert mends == [
        'python -m pip uninstall -y torchvision && '
        'python -m pip install torch torchvision'
    ]


@pytest.fixture(scope='module')
def report(root):
    """Run the tool on the environment of the tests."""
    return subprocess.run(
        [sys.executable, root / 'tools' / 'doctor.py', '--json'],
        env={**os.environ, 'PYTHONPATH': str(root)},
        capture_output=True,
        text=True,
    )


def test_tool_finds_ghostnetv2_in_every_toolbox_of_this_environment(report):
    data = json.loads(report.stdout)
    found = data['findings']['registries']['found']
    installed = {name for name in doctor.TOOLBOXES if data['versions'][name]}
    assert {'mmengine', 'mmghost', *installed} == set(found)
    assert data['findings']['torchvision'] == {'nms': 'runs'}
    assert data['findings']['mmghost']['operators'] in ('mmcv', 'stand-ins')


def test_tool_exits_with_1_exactly_if_there_is_a_problem(report):
    data = json.loads(report.stdout)
    assert report.returncode == (1 if data['problems'] else 0)
    assert data['ok'] is not bool(data['problems'])


def test_tool_works_in_a_python_that_has_nothing(root, tmp_path, monkeypatch):
    monkeypatch.delenv('PYTHONPATH', raising=False)
    venv.create(tmp_path / 'venv', with_pip=False)
    done = subprocess.run(
        [tmp_path / 'venv' / 'bin' / 'python', root / 'tools' / 'doctor.py'],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    told = [line for line in done.stdout.splitlines() if line.startswith('PROBLEM')]
    assert told == [
        'PROBLEM  torch is not installed',
        'PROBLEM  torchvision is not installed',
        'PROBLEM  onedl-mmengine is not installed',
        'PROBLEM  onedl-mmcv is not installed',
        'PROBLEM  neither mmdet nor mmseg nor mmpretrain is installed, so there is '
        'nothing to train with',
        'PROBLEM  mmghost is not installed',
    ]


def test_text_shows_each_problem_under_the_facts():
    findings = {
        **{probe: {} for probe in doctor.PROBES},
        'torch': {'gpu': None, 'cuda': None},
    }
    problem = doctor.Problem('all is lost', 'python -m pip install hope')
    text = doctor.Report(
        '3.11.7', 'here', 'onedl', {'mmdet': None}, findings, [problem]
    )
    lines = text.to_text().splitlines()
    assert lines[-2:] == [
        'PROBLEM  all is lost',
        'mend it  python -m pip install hope',
    ]
    assert 'mmdet            -' in lines
