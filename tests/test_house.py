"""The house is as CONTRIBUTING.md and its picture say: who may import whom, what is where."""

import ast
import re

import pytest

# The floors of docs/pictures/house.svg, the lowest first.
FLOORS = [
    {'registry', 'ops', 'version', 'errors'},
    {'models', 'weights', 'datasets'},
    {'engine', 'analysis', 'deploy'},
]
MODULES = {'registry', 'version', 'errors'}
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}


def imported(node, package):
    """The modules that an import names, with relative ones made absolute."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = package[: len(package) - node.level + 1] if node.level else []
    start = [*base, *(node.module or '').split('.')]
    names = ['.'.join(part for part in start if part)]
    return names + [f'{names[0]}.{alias.name}' for alias in node.names]


def imports_at_load(root):
    """Pairs of a module's path below mmghost/ and what it imports when it is loaded."""
    folder = root / 'mmghost'
    for path in sorted(folder.rglob('*.py')):
        if '.mim' in path.parts:
            continue
        package = list(path.relative_to(root).parts[:-1])
        for node in ast.parse(path.read_text(encoding='utf-8')).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                for name in imported(node, package):
                    yield path.relative_to(folder), name


def test_a_room_imports_none_of_a_floor_above_but_what_the_picture_names(root):
    seen = set()
    for path, name in imports_at_load(root):
        words = name.split('.')
        if words[0] != 'mmghost' or len(words) < 2 or len(path.parts) < 2:
            continue
        here, there = path.parts[0], words[1]
        seen.add((here, there))
        if LEVEL.get(there, 0) > LEVEL[here]:
            may = path.parts[:2] == ('datasets', 'own')
            assert may, f'mmghost/{path} imports {name}'
    assert ('deploy', 'models') in seen, 'the imports were read'


def test_rooms_are_those_of_the_picture(root):
    rooms = {path.parent.name for path in (root / 'mmghost').glob('*/__init__.py')}
    assert rooms | MODULES == set(LEVEL)
    words = re.findall(
        r'<text[^>]*>([^<]+)<', (root / 'docs/pictures/house.svg').read_text()
    )
    assert {room.removesuffix('.py') for room in words} >= rooms | {
        'registry',
        'errors',
    }


@pytest.mark.parametrize('room', sorted(set(LEVEL) - MODULES))
def test_every_room_has_its_tests(root, room):
    assert list((root / 'tests' / room).rglob('test_*.py'))
