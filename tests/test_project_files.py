"""Version, citation, issue forms and what is ignored agree with each other."""

import re
import subprocess

import pytest
import yaml

import mmghost


def test_version_citation_and_changelog_name_one_release(root):
    citation = yaml.safe_load((root / 'CITATION.cff').read_text(encoding='utf-8'))
    changes = (root / 'CHANGELOG.md').read_text(encoding='utf-8')
    version, day = re.search(r'^## (\S+) \((\S+)\)$', changes, re.MULTILINE).groups()
    assert version == citation['version'] == mmghost.__version__
    assert day == citation['date-released']
    assert citation['preferred-citation']['authors'][0]['family-names'] == 'Tang'


def test_what_the_tools_write_is_ignored_and_no_file_of_the_project(root):
    def git(*arguments: str) -> list[str]:
        done = subprocess.run(
            ['git', *arguments], cwd=root, capture_output=True, text=True
        )
        if done.returncode == 128:
            pytest.skip('no clone, or no git')
        return done.stdout.split()

    written = [
        'mine.onnx', 'mine_int8.onnx', 'model.xml', 'model.bin', 'seen.png', 'found.png',
        'found.json', 'predictions.pkl', 'configs/mine.py', 'configs/mine_data/val.json',
        'seen/a.png', 'maps/a.png', 'work_dirs/a/b.pth', 'data/a.jpg', 'demo_output/a',
        'configs/try.py', 'configs/mine-maps.py', 'configs/detection/my_detector.py',
    ]  # fmt: skip
    assert git('check-ignore', '--no-index', *written) == written
    assert git('ls-files', '-ci', '--exclude-standard') == []
