"""Every tool shows commands to copy, and takes the flags of mmdet's tool of its name."""

import re
from pathlib import Path

import mmdet
import pytest

from tests.conftest import ROOT

TOOLS = [path.relative_to(ROOT / 'tools') for path in ROOT.glob('tools/**/*.py')]
OLD_NAMES = re.compile(r'deployment/\w+_onnx\.py')  # of version 1; they call the others


@pytest.mark.parametrize('tool', sorted(map(str, TOOLS)))
def test_help_shows_a_command(tool, call):
    status, text = call(tool, '--help')
    assert status == 0
    assert f'python tools/{tool} ' in text or OLD_NAMES.fullmatch(tool)


@pytest.mark.parametrize('tool', ['train.py', 'test.py'])
def test_flags_are_those_of_mmdet(tool, call):
    theirs = Path(mmdet.__path__[0], '.mim/tools', tool).read_text()
    flags = {*re.findall(r"'(--[a-z-]+)'[,)]", theirs)} - {'--local-rank'}  # torch's
    assert len(flags) > 5
    _, text = call(tool, '--help')
    assert [flag for flag in flags if flag not in text] == []
