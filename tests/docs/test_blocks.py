"""Every command of every page could be run: its tool, options, files and keys are there.

``make test-docs`` runs them, see test_running.py.
"""

import re
import subprocess

import pytest

from tests.docs import commands
from tests.docs.pages import (
    LEDGER,
    MARK,
    REASONS,
    RUNNABLE,
    blocks,
    every_block,
    pages,
    read,
)

SHELL = ('bash', 'console')


@pytest.mark.parametrize('page', pages())
def test_commands_are_understood_by_the_tools_that_they_name(page):
    made = {
        mark for b in blocks(page) for k, mark in b.marks.items() if k == 'saved as'
    }
    for block in blocks(page):
        if block.language not in SHELL or 'quotation' in block.reasons:
            continue
        text = block.text
        if block.language == 'console':
            text = '\n'.join(re.findall(r'^\$ (.*)', text, re.M))
        for command in commands.split(text):
            try:
                commands.check(command, made)
            except AssertionError as error:
                raise AssertionError(f'{block}: {error}') from None


def test_shell_blocks_are_valid_shell():
    for block in every_block():
        if block.language == 'bash':
            done = subprocess.run(
                ['bash', '-n'], input=block.text, capture_output=True, text=True
            )
            assert done.returncode == 0, f'{block}: {done.stderr}'


def test_python_blocks_are_valid_python():
    for block in every_block():
        if block.language == 'python':
            commands.python_compiles(block.text, str(block))


def test_commands_stand_in_blocks_that_are_run():
    for block in every_block():
        if block.language not in RUNNABLE:
            found = re.search(r'^\s*(?:python|make|bash|pip) [\w./-]', block.text, re.M)
            assert not found, f'{block}: a command in a block of {block.language!r}'


def test_no_block_is_only_indented():
    indented = [str(block) for block in every_block() if block.language == 'indented']
    assert not indented


def test_reasons_for_not_running_a_block_are_known_ones():
    for block in every_block():
        unknown = [reason for reason in block.reasons if reason not in REASONS]
        assert not unknown, f'{block}: {unknown}'


@pytest.mark.parametrize('page', [page for page in pages() if page != LEDGER])
def test_every_mark_belongs_to_a_block(page):
    marks = sum(len(block.marks) for block in blocks(page))
    assert marks == len(MARK.findall(read(page)))


def test_fewer_blocks_are_excused_than_run():
    runnable = [block for block in every_block() if block.language in RUNNABLE]
    others = [block for block in runnable if block.page != LEDGER]
    excused = [block for block in others if block.reasons]
    assert len(excused) < len(others) / 2
