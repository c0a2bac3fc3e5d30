"""--cfg-options: any text is read or refused by argparse; a training begins or stops."""

import argparse

import pytest

from mmghost.engine.options import add_cfg_options


def parse(*texts: str) -> dict:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_cfg_options(parser)
    return parser.parse_args(['--cfg-options', *texts]).cfg_options


def test_the_flag_reads_what_mmdets_reads():
    given = ('a.b=1', 'c=[(1,2),(3,4)]', 'd=None', 'e=x', 'a.c=1e-3')
    assert parse(*given) == {
        'a.b': 1, 'c': [(1, 2), (3, 4)], 'd': None, 'e': 'x', 'a.c': 1e-3,
    }  # fmt: skip


@pytest.mark.parametrize('text', ['model', 'a=[(1, 2]', 'a=],['])
def test_text_that_cannot_be_read_is_an_error_of_argparse(text):
    with pytest.raises(argparse.ArgumentError, match='is not KEY=VALUE with matching'):
        parse(text)
