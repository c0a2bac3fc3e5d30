"""Only what a backbone does itself counts as a broken promise, not what lacks here."""

import subprocess
import sys

from tests.contract.backbones import OURS, Backbone
from tests.contract.table import installed
from tests.docs.pages import ROOT


def test_a_peer_of_a_toolbox_that_is_not_installed_is_left_out_and_named(capsys):
    absent = Backbone('ResNet of nobody', 'nobody.ResNet', 4, (0, 1, 2, 3))
    assert installed([absent, OURS[0]]) == [OURS[0]]
    assert 'ResNet of nobody: left out, ' in capsys.readouterr().out


def test_a_peer_alone_finds_mmcvs_operators():
    code = (
        'from tests.contract.backbones import PEERS\n'
        'next(p for p in PEERS if "CSPNeXt" in p.name).build()'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
