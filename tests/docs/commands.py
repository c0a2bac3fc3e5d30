"""Check commands of the pages without running them: tools, flags, files, config keys."""

import re
import runpy
import shlex
import sys
from argparse import ArgumentParser, Namespace
from functools import cache

import pytest
from mmengine.config import Config

from tests.docs.pages import ROOT

ASSIGNMENT = re.compile(r'[A-Za-z_]\w*=')
# A name that the reader replaces, or a file that another page makes.
PLACE = re.compile(r'[A-Z_]+|.*\$.*|demo_output/.*|.*\bMINE\b.*|configs/mine\.py')
SCRIPTS = {  # number of arguments that are the script's; which of them the tool gets
    'tools/dist_train.sh': ('tools/train.py', 2, (0,)),
    'tools/dist_test.sh': ('tools/test.py', 3, (0, 1)),
    'tools/slurm_train.sh': ('tools/train.py', 4, (2,)),
    'tools/slurm_test.sh': ('tools/test.py', 4, (2, 3)),
}
load = cache(Config.fromfile)


class Parsed(BaseException):
    """Ends a tool after parsing."""


def split(text: str) -> list[list[str]]:
    """Split a shell script into its simple commands."""
    found: list[list[str]] = []
    for line in text.replace('\\\n', ' ').splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        command: list[str] = []
        for token in [*lexer, ';']:
            if not set(token) <= set('();<>|&'):
                command.append(token)
            elif command:
                found.append(command)
                command = []
    for command in found:
        while command and (command[0] == 'do' or ASSIGNMENT.match(command[0])):
            del command[0]
    return [command for command in found if command]


def parse(tool: str, words: list[str]) -> Namespace:
    """Parse a command line with the tool's own parser."""
    original = ArgumentParser.parse_args

    def stop(parser: ArgumentParser, *args, **kwargs):
        raise Parsed(original(parser, *args, **kwargs))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ArgumentParser, 'parse_args', stop)
        patch.setattr(sys, 'argv', [tool, *words])
        patch.syspath_prepend(str((ROOT / tool).parent))
        try:
            runpy.run_path(str(ROOT / tool), run_name='__main__')
        except Parsed as parsed:
            return parsed.args[0]
    raise AssertionError(f'{tool} parses no command line')


def check(command: list[str], made: set[str]) -> None:
    """Check one command of a page; add the files that it makes to ``made``."""
    program, *words = command
    if program == 'make':
        targets = re.findall(r'^([\w-]+):', (ROOT / 'Makefile').read_text(), re.M)
        assert all(w in targets or '=' in w for w in words), f'make {words}'
    elif program == 'bash':
        script, *words = words
        tool, count, own = SCRIPTS[script]
        assert (ROOT / script).is_file() and len(words) >= count, script
        _check_tool(tool, [*(words[i] for i in own), *words[count:]], made)
    elif program in ('python', 'python3') and words[0].startswith('tools/'):
        _check_tool(words[0], words[1:], made)
    elif program in ('python', 'python3') and words[0] == '-m':
        path = ROOT / words[1].replace('.', '/')
        ours = words[1].split('.')[0] in ('mmghost', 'tests', 'dev', 'projects')
        found = path.with_suffix('.py').is_file() or path.is_dir()
        assert found or not ours, f'python -m {words[1]}: no such module'


def _check_tool(tool: str, words: list[str], made: set[str]) -> None:
    assert (ROOT / tool).is_file(), f'{tool} does not exist'
    try:
        arguments = vars(parse(tool, words))
    except SystemExit as error:
        assert error.code == 0, f'{tool} refuses {" ".join(words)}'
        return
    config = arguments.get('config')
    if config and not PLACE.fullmatch(config) and config not in made:
        assert (ROOT / config).is_file(), f'{config} does not exist'
        for key in arguments.get('cfg_options') or {}:
            _check_key(config, key)
    made.update(str(arguments[key]) for key in ('out', 'target') if arguments.get(key))


def _check_key(config: str, key: str) -> None:
    """An override must have a place in the config; elsewhere it does nothing."""
    node = load(ROOT / config)
    for part in key.split('.')[:-1]:
        if part == 'dfc' or node is None:  # defaults of the backbone
            return
        node = node[int(part)] if isinstance(node, list) else node.get(part, KeyError)
        assert node is not KeyError, f'{config} has no {part} for {key}'
