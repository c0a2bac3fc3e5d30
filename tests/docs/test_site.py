"""The site shows every page and documents every public name; `make docs` builds it."""

import ast
import re

import pytest

from tests.docs.pages import ROOT, pages

# What each package exports stands in its __all__; these are no API of their own.
SUBPACKAGES = {'datasets', 'engine', 'models', 'weights', '__version__'}
PACKAGES = ('', 'models', 'weights', 'engine', 'datasets', 'analysis')


def exported(package: str) -> set[str]:
    """The public names of a package of mmghost, without importing it."""
    source = (ROOT / 'mmghost' / package / '__init__.py').read_text(encoding='utf-8')
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == '__all__':
            return set(ast.literal_eval(node.value))
    raise AssertionError(f'{package} has no __all__')


def test_the_site_has_every_page_of_docs_once():
    text = (ROOT / 'docs' / 'index.rst').read_text(encoding='utf-8')
    listed = re.findall(r'^   ([\w-]+)$', text, re.M)
    assert len(listed) == len(set(listed))
    here = {page[len('docs/') : -len('.md')] for page in pages() if 'docs/' in page}
    # `make bench` writes docs/benchmark.md
    assert set(listed) - {'api'} == here | {'benchmark'}


@pytest.mark.parametrize('package', PACKAGES)
def test_the_reference_has_every_public_name(package):
    text = (ROOT / 'docs' / 'api.rst').read_text(encoding='utf-8')
    documented = set(re.findall(r'^\.\. autoapi\w+:: (\S+)$', text, re.M))
    prefix = f'mmghost.{package}.' if package else 'mmghost.'
    missing = {
        name
        for name in exported(package) - SUBPACKAGES
        # a name that mmghost itself exports is documented there
        if prefix + name not in documented and f'mmghost.{name}' not in documented
    }
    assert not missing


@pytest.mark.parametrize(
    'path', sorted((ROOT / 'requirements').glob('*.txt')), ids=lambda path: path.name
)
def test_no_requirements_name_the_project_itself(path):
    """It is on no index: pip would fail, or take whatever somebody calls so there."""
    lines = path.read_text(encoding='utf-8').splitlines()
    names = [re.match(r'[\w.-]*', line)[0].lower() for line in lines]
    assert len(names) > 20 and 'mmghost' not in names
