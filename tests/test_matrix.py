"""The page of versions is what the records say, and a record what pytest counted."""

import json
import platform

import torch

from tests import matrix

JUNIT = """<testsuites><testsuite name="pytest" errors="1" failures="2" skipped="3"
tests="10"><testcase name="a"/></testsuite></testsuites>"""


def test_the_page_in_the_repository_is_made_of_the_records():
    records = json.loads(matrix.RECORDS.read_text())
    assert matrix.PAGE.read_text() == matrix.page(records)


def test_a_run_is_added_with_the_versions_of_this_environment(tmp_path):
    junit, records = tmp_path / 'junit.xml', tmp_path / 'matrix.json'
    junit.write_text(JUNIT)
    for what in ('models', 'weights'):
        record = matrix.add(junit, what, records)
    assert [entry['what'] for entry in json.loads(records.read_text())] == [
        'models',
        'weights',
    ]
    assert (record['passed'], record['failed'], record['skipped']) == (4, 3, 3)
    assert record['torch'].split('+')[0] == torch.__version__.split('+')[0]
    assert record['python'] == platform.python_version()
    assert record['stack'] in ('onedl', 'openmmlab')


def test_of_equal_runs_the_newest_is_shown_and_of_versions_the_newest_first():
    def record(what, torch_version, passed):
        versions = dict.fromkeys(matrix.COLUMNS, '1.0')
        return {
            **versions, 'torch': torch_version, 'what': what, 'date': '2026-01-01',
            'commit': 'abc', 'passed': passed, 'failed': 0, 'skipped': 0,
        }  # fmt: skip

    page = matrix.page(
        [record('a', '2.9.0', 1), record('a', '2.10.0', 2), record('a', '2.9.0', 3)]
    )
    rows = [line.split(' | ') for line in page.splitlines() if '| abc |' in line]
    at = [*matrix.COLUMNS, 'tests', 'passed'].index('passed')
    assert [row[at] for row in rows] == ['2', '3']
