"""Commands of the pages, checked without running them: tools, options, files, keys."""

import ast
import re
import runpy
import shlex
import sys
from argparse import ArgumentParser, Namespace
from functools import cache

import pytest
from mmengine.config import Config

from tests.docs.pages import ROOT

PYTHONS = ('python', 'python3', '.venv/bin/python')
# Programs of others that the pages call. Another one is a slip, or belongs here.
OTHERS = {
    'cd', 'cp', 'curl', 'echo', 'export', 'git', 'ln', 'ls', 'mim', 'mkdir', 'mv',
    'nvidia-smi', 'ovc', 'pip', 'pnnx', 'rm', 'sed', 'source', 'tar', 'trtexec',
}  # fmt: skip
# What `make demo` leaves.
DEMO = 'demo_output/training/retinanet_ghostnetv2-1.0_shapes.py'
PUNCTUATION = set('();<>|&')
ASSIGNMENT = re.compile(r'[A-Za-z_]\w*=')
# A word that the reader puts something else in the place of.
PLACE = re.compile(r'[A-Z][A-Z0-9_]+|.*\$.*|.*\bmine\b.*|.*\.\.\..*')
SCRIPTS = {  # how many words stand before those that go on to the tool; the tool's own
    'tools/dist_train.sh': ('tools/train.py', 2, (0,)),
    'tools/dist_test.sh': ('tools/test.py', 3, (0, 1)),
    'tools/slurm_train.sh': ('tools/train.py', 4, (2,)),
    'tools/slurm_test.sh': ('tools/test.py', 4, (2, 3)),
}


class Parsed(BaseException):
    """Ends a tool once its command line is read; not an error that it could catch."""

    def __init__(self, arguments: Namespace) -> None:
        self.arguments = arguments


def split(text: str) -> list[list[str]]:
    """Split a shell script into its simple commands, without what is around them."""
    found: list[list[str]] = []
    for line in text.replace('\\\n', ' ').splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        command: list[str] = []
        skip = False
        for token in [*lexer, ';']:
            if skip:  # the file of a redirection
                skip = False
            elif set(token) <= PUNCTUATION:
                skip = '<' in token or '>' in token
                if not skip and command:
                    found.append(command)
                    command = []
            else:
                command.append(token)
    cleaned = []
    for command in found:
        while command and (
            command[0] in ('do', 'then', 'else') or ASSIGNMENT.match(command[0])
        ):
            command = command[1:]
        if command and command[0] not in ('for', 'done', 'fi', 'if'):
            cleaned.append(command)
    return cleaned


@cache
def make_targets() -> set[str]:
    """Return the targets of the Makefile."""
    text = (ROOT / 'Makefile').read_text(encoding='utf-8')
    return set(re.findall(r'^([\w-]+):', text, re.MULTILINE))


@cache
def cmd_options(tool: str) -> set[str]:
    """Return the options that a tool's source declares, by itself or with others."""
    shared = ast.parse((ROOT / 'mmghost/engine/options.py').read_text(encoding='utf-8'))
    tree = ast.parse((ROOT / tool).read_text(encoding='utf-8'))
    found = declared(tree)
    called = {
        getattr(n.func, 'id', '') for n in ast.walk(tree) if isinstance(n, ast.Call)
    }
    for node in shared.body:
        if isinstance(node, ast.FunctionDef) and node.name in called:
            found |= declared(node)
    return found | {'-h', '--help'}


def declared(tree: ast.AST) -> set[str]:
    """Return the options in the calls of ``add_argument`` in a piece of source."""
    calls = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, 'attr', '') == 'add_argument'
    )
    names = {a.value for n in calls for a in n.args if isinstance(a, ast.Constant)}
    return {name for name in names if name.startswith('-')}


def parse(tool: str, words: list[str]) -> Namespace:
    """Let a tool read a command line as it would, and stop before it does anything.

    Raises:
        SystemExit: If the tool refuses it.
    """
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
            return parsed.arguments
    raise AssertionError(f'{tool} reads no command line')


def check(command: list[str], made: set[str]) -> None:
    """Check one command of a page.

    Args:
        command: Its words.
        made: Files that the page has made so far; those that this one makes are added.

    Raises:
        AssertionError: If it names what is not there.
    """
    program, *words = command
    if program in PYTHONS:
        _check_python(words, made)
    elif program == 'bash':
        script, *words = words
        assert (ROOT / script).is_file(), f'{script}: there is no such script'
        if script in SCRIPTS:
            tool, count, own = SCRIPTS[script]
            assert len(words) >= count, f'{script} takes {count} words'
            _check_tool(tool, [*(words[i] for i in own), *words[count:]], made)
    elif program == 'make':
        for word in words:
            assert ASSIGNMENT.match(word) or word in make_targets(), f'make {word}'
        if 'demo' in words:
            made.add(DEMO)
    else:
        assert program in OTHERS, f'{program}: a program that tests/docs does not know'


def _check_python(words: list[str], made: set[str]) -> None:
    first, *rest = words
    if first == '-m':
        module = rest[0]
        path = ROOT / module.replace('.', '/')
        ours = module.split('.')[0] in ('mmghost', 'tests')
        found = path.with_suffix('.py').is_file() or (path / '__main__.py').is_file()
        assert found or not ours, f'python -m {module}: there is no such module'
    elif first.startswith('tools/'):
        _check_tool(first, rest, made)
    elif first != '-c':
        assert PLACE.match(first) or first in made, f'{first}: there is no such program'


def _check_tool(tool: str, words: list[str], made: set[str]) -> None:
    assert (ROOT / tool).is_file(), f'{tool}: there is no such tool'
    try:
        arguments = vars(parse(tool, words))
    except SystemExit as error:
        assert error.code == 0, f'{tool} refuses {" ".join(words)}'
        return
    config = arguments.get('config')
    if config is not None and not PLACE.fullmatch(config) and config not in made:
        assert (ROOT / config).is_file(), f'{config}: there is no such config'
        _check_keys(config, arguments.get('cfg_options') or {})
    made.update(str(arguments[key]) for key in ('out', 'target') if arguments.get(key))


@cache
def _read_config(config: str) -> Config:
    return Config.fromfile(ROOT / config)


def _check_keys(config: str, options: dict) -> None:
    """An option of a config must have a place there, or it does nothing."""
    for key in options:
        node = _read_config(config)
        for part in key.split('.')[:-1]:
            if part == 'dfc':  # the backbone's, which the configs leave as it is
                break
            if isinstance(node, list):
                assert part.isdigit() and int(part) < len(node), f'{config}: {key}'
                node = node[int(part)]
            else:
                assert part in node, f'{config} has no {part} for {key}'
                node = node[part]
            if node is None:
                break


def python_compiles(text: str, name: str) -> None:
    """Check that a block is Python, and that what it imports of mmghost is there."""
    for node in ast.walk(ast.parse(text, name)):
        if isinstance(node, ast.ImportFrom) and (node.module or '').startswith(
            'mmghost'
        ):
            path = ROOT / node.module.replace('.', '/')
            assert path.is_dir() or path.with_suffix('.py').is_file(), node.module


def files_named(code: str) -> list[str]:
    """List the files of the repository that a piece of inline code names."""
    roots = '|'.join(('configs', 'docs', 'mmghost', 'requirements', 'tests', 'tools'))
    found = re.findall(rf'(?:^|\s)((?:{roots})/[\w./-]+\.(?:py|md|sh|txt|json))', code)
    return [name for name in found if not PLACE.fullmatch(name)]


def exists(name: str) -> bool:
    """Tell whether the repository has a file; a test may be named without its folder."""
    return (ROOT / name).exists() or (ROOT / 'tests' / name).exists()
