"""A tool's errors are one message for the user, and an exit status."""

import pytest

from mmghost.errors import UserError, cli_main


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
