"""A tool's errors are one message for the person at the terminal."""

import runpy

import pytest

from mmghost import errors
from mmghost.errors import UserError, examples, near, run_door


def test_near_names_are_found_whatever_their_case():
    assert near('ghostnetv2', ['GhostNetV2', 'ResNet']) == '; did you mean GhostNetV2?'
    assert near('xyz', ['GhostNetV2']) == ''


def test_the_first_of_many_are_named():
    assert examples([1, 2]) == '1, 2'
    assert examples(['a', 'b', 'c', 'd'], 2) == 'a, b and 2 more'


def test_a_door_ends_with_one_message_and_status_1(capsys):
    def main():
        raise UserError('mend this')

    with pytest.raises(SystemExit) as ended:
        run_door(main)
    assert ended.value.code == 1
    assert capsys.readouterr().err == 'error: mend this\n'


def test_a_file_that_cannot_be_written_ends_a_tool_in_one_message(
    tmp_path, capsys, monkeypatch
):
    def main():
        (tmp_path / 'missing' / 'a.json').write_text('')

    with pytest.raises(SystemExit) as ended:
        run_door(main)
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith(f'error: {tmp_path}/missing/a.json: No such file')
    monkeypatch.setenv('MMGHOST_TRACEBACK', '1')
    with pytest.raises(FileNotFoundError):
        run_door(main)


def test_an_error_of_the_system_without_a_file_keeps_its_traceback():
    def main():
        raise BrokenPipeError(32, 'Broken pipe')

    with pytest.raises(BrokenPipeError):
        run_door(main)


@pytest.mark.parametrize('words', [(), ('go on with --resume',)])
def test_only_a_tool_that_resumes_says_so_when_it_is_stopped(capsys, words):
    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run_door(main, *words)
    assert ended.value.code == 130
    assert capsys.readouterr().err == f'{words[0] if words else "interrupted"}\n'


def test_an_interruption_that_says_how_to_go_on_has_the_last_word(capsys):
    def main():
        raise KeyboardInterrupt('go on from iter_5.pth')

    with pytest.raises(SystemExit):
        run_door(main, 'go on from the last checkpoint')
    assert capsys.readouterr().err == 'go on from iter_5.pth\n'


def test_the_tool_that_trains_says_how_to_go_on(monkeypatch, root):
    calls = []
    monkeypatch.setattr(errors, 'run_door', lambda *arguments: calls.append(arguments))
    runpy.run_path(str(root / 'tools' / 'train.py'), run_name='__main__')
    assert '--resume goes on' in calls[0][1]
