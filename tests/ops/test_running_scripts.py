"""``python -m mmghost.ops SCRIPT``: somebody else's script, with the stand-ins there."""

import subprocess
import sys


def run(root, *args: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'mmghost.ops', *args],
        cwd=root,
        capture_output=True,
        text=True,
    )


def test_a_script_finds_operators_its_arguments_and_its_neighbours(root, tmp_path):
    (tmp_path / 'neighbour.py').write_text('NAME = "neighbour"\n')
    script = tmp_path / 'script.py'
    script.write_text(
        'import sys\n'
        'from mmcv.ops import nms\n'
        'import neighbour\n'
        'assert __name__ == "__main__"\n'
        'print(neighbour.NAME, sys.argv[1:], nms.__name__)\n'
    )
    done = run(root, str(script), 'a', '--b')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "neighbour ['a', '--b'] nms"


def test_a_script_that_is_not_there_is_named(root):
    done = run(root, 'nothing.py')
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == 'error: there is no script nothing.py'
