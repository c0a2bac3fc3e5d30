"""Version, citation and issue forms agree with each other and with the tools."""

import re
import subprocess

import pytest
import yaml

import mmghost

FORMS = ('bug_report', 'question', 'feature')


def test_version_citation_and_changelog_name_one_release(root):
    citation = yaml.safe_load((root / 'CITATION.cff').read_text(encoding='utf-8'))
    changes = (root / 'CHANGELOG.md').read_text(encoding='utf-8')
    version, day = re.search(r'^## (\S+) \((\S+)\)$', changes, re.MULTILINE).groups()
    assert version == citation['version'] == mmghost.__version__
    assert day == citation['date-released']


def test_what_the_tools_write_here_is_ignored_and_nothing_that_is_kept(root):
    def git(*arguments: str) -> list[str]:
        done = subprocess.run(
            ['git', *arguments], cwd=root, capture_output=True, text=True, check=False
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


def test_the_citation_to_prefer_is_the_paper(root):
    citation = yaml.safe_load((root / 'CITATION.cff').read_text(encoding='utf-8'))
    # What the format's version 1.2.0 requires of any file and of a reference.
    assert {'cff-version', 'message', 'title', 'authors'} <= set(citation)
    paper = citation['preferred-citation']
    assert {'type', 'title', 'authors'} <= set(paper)
    assert [author['family-names'] for author in paper['authors']] == [
        'Tang', 'Han', 'Guo', 'Xu', 'Xu', 'Wang',
    ]  # fmt: skip


@pytest.mark.parametrize('name', FORMS)
def test_issue_forms_have_what_github_requires(root, name):
    path = root / '.github' / 'ISSUE_TEMPLATE' / f'{name}.yml'
    form = yaml.safe_load(path.read_text(encoding='utf-8'))
    assert form['name'] and form['description'] and form['body']
    ids = [part['id'] for part in form['body'] if part['type'] != 'markdown']
    assert len(ids) == len(set(ids))
    for part in form['body']:
        assert part['type'] in ('markdown', 'textarea', 'checkboxes')
        assert 'value' in part['attributes'] or 'label' in part['attributes']


def test_a_report_of_a_fault_needs_the_doctors_words(root):
    path = root / '.github' / 'ISSUE_TEMPLATE' / 'bug_report.yml'
    body = yaml.safe_load(path.read_text(encoding='utf-8'))['body']
    (doctor,) = [part for part in body if part.get('id') == 'doctor']
    assert doctor['validations']['required']
    commands = re.findall(r'python (tools/\S+\.py)', path.read_text(encoding='utf-8'))
    assert 'tools/doctor.py' in commands
    assert all((root / command).is_file() for command in commands)


def test_what_contributing_and_changelog_point_at_is_there(root):
    for name in ('CONTRIBUTING.md', 'CHANGELOG.md'):
        text = (root / name).read_text(encoding='utf-8')
        links = re.findall(r'\]\(((?!http)[^)#]+)', text)
        paths = re.findall(r'`((?:mmghost|tests|tools|docs)/[\w./-]+)`', text)
        paths += re.findall(r'python ((?:tools|tests)/\S+\.py)', text)
        assert links or paths
        for path in {*links, *paths}:
            assert (root / path).exists(), f'{name}: {path}'
