"""Settings of the site that `make docs` builds, and that Read the Docs can build too.

The sources are read, not imported (sphinx-autoapi), so that the site needs no torch.
"""

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

project = 'mmghost'
author = 'The mmghost authors'
copyright = author
release = re.search(
    r"__version__ = '(.+)'", (ROOT / 'mmghost' / 'version.py').read_text('utf-8')
).group(1)

extensions = [
    'myst_parser',
    'autoapi.extension',
    'sphinx.ext.napoleon',
    'sphinx_copybutton',
]
html_theme = 'furo'
html_title = f'mmghost {release}'
html_theme_options = {'navigation_with_keys': True}
exclude_patterns = ['logs']
suppress_warnings = ['autoapi.python_import_resolution']

# The anchors of headings are GitHub's, so that links work in both places.
myst_heading_anchors = 4

autoapi_dirs = [str(ROOT / 'mmghost')]
autoapi_ignore = ['*/.mim/*']
autoapi_generate_api_docs = False  # docs/api.rst says what is public
autoapi_options = ['members', 'show-inheritance', 'imported-members']
autoapi_member_order = 'groupwise'
autoapi_keep_files = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# Links out of docs/ (`[words](../configs/x.py)`) lead to the repository on the web where
# the site is built from one; elsewhere the file is named.
_CLONE_URL = os.environ.get('READTHEDOCS_GIT_CLONE_URL', '').removesuffix('.git')
_COMMIT = os.environ.get('READTHEDOCS_GIT_COMMIT_HASH', 'main')
_OUTSIDE = re.compile(r'\[([^\]]+)\]\(\.\./([^)\s]+)\)')


def _link_to_source(match: re.Match) -> str:
    words, name = match.groups()
    if _CLONE_URL:
        return f'[{words}]({_CLONE_URL}/blob/{_COMMIT}/{name})'
    return f'`{name}`' if name in words else f'{words} (`{name}`)'


def _prepare(app, name: str, source: list[str]) -> None:
    source[0] = _OUTSIDE.sub(_link_to_source, source[0])
    if name == 'index' and not (ROOT / 'docs' / 'benchmark.md').exists():
        source[0] = source[0].replace('   benchmark\n', '')  # `make bench` writes it


def setup(app) -> None:
    """Connect what is not a setting."""
    app.connect('source-read', _prepare)
