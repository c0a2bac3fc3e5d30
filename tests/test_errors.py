"""A tool's errors are one message for the user, and an exit status."""

import pytest

from mmghost.errors import UserError, cli_main, did_you_mean, examples


def test_close_names_are_found_in_any_case():
    assert did_you_mean('ghostnetv2', ['GhostNetV2', 'ResNet']).endswith('GhostNetV2?')
    assert did_you_mean('xyz', ['GhostNetV2']) == ''


def test_the_first_of_many_names_are_shown():
    assert examples([1, 2]) == '1, 2'
    assert examples(['a', 'b', 'c', 'd'], 2) == 'a, b and 2 more'


@pytest.mark.parametrize(
    'error, message',
    [
        (UserError('fix this'), 'error: fix this\n'),
        (FileNotFoundError(2, 'No such file', 'a.py'), 'error: a.py: No such file\n'),
    ],
)
def test_an_error_of_the_user_is_one_message_and_status_1(
    capsys, monkeypatch, error, message
):
    def main():
        raise error

    with pytest.raises(SystemExit) as ended:
        cli_main(main)
    assert ended.value.code == 1
    assert capsys.readouterr().err == message
    monkeypatch.setenv('MMGHOST_TRACEBACK', '1')
    with pytest.raises(type(error)):
        cli_main(main)


def test_an_error_without_a_file_keeps_its_traceback():
    def main():
        raise BrokenPipeError(32, 'Broken pipe')

    with pytest.raises(BrokenPipeError):
        cli_main(main)


@pytest.mark.parametrize(
    'raised, given, message',
    [((), (), 'interrupted'), ((), ('resume',), 'resume'), (('at 5',), ('x',), 'at 5')],
)
def test_ctrl_c_ends_with_status_130_and_how_to_go_on(capsys, raised, given, message):
    def main():
        raise KeyboardInterrupt(*raised)

    with pytest.raises(SystemExit) as ended:
        cli_main(main, *given)
    assert ended.value.code == 130
    assert capsys.readouterr().err == f'{message}\n'
