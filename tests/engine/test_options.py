"""--cfg-options: any text is read or refused by argparse; a training begins or stops."""

import argparse

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmghost.engine.options import CfgOptions, add_cfg_options

PIECES = st.text('ab.=[](),\'" 1-', max_size=12).filter(lambda t: t[:1] != '-')


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


@pytest.mark.slow
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(PIECES, min_size=1))
def test_any_text_is_read_or_an_error_of_argparse(texts):
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions)
    try:
        parser.parse_args(['--cfg-options', *texts])
    except argparse.ArgumentError as error:
        assert '--cfg-options' in str(error)
