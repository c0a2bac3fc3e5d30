"""The pages hold what they say: each block is run, in order, in a copy of the clone.

``make test-docs`` runs this. A block that needs what not everybody has carries a mark
with the reason (see pages.py); test_blocks.py checks those too, without running them.
"""

from pathlib import Path

import pytest

from tests.docs import scenes
from tests.docs.clone import Clone
from tests.docs.pages import RUNNABLE, blocks, pages

# The Chinese README has the English one's blocks (test_readme.py).
RUN = [
    page
    for page in pages()
    if page != 'README_zh-CN.md'
    and any(b.language in RUNNABLE and not b.reasons for b in blocks(page))
]


@pytest.fixture(scope='module')
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of downloads in which the published weights are already."""
    folder = tmp_path_factory.mktemp('torch')
    scenes.published_weights(folder)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1800)  # the longest page trains, exports and quantises
@pytest.mark.parametrize('page', RUN)
def test_the_blocks_of_the_page_run(page, tmp_path, cache, monkeypatch):
    todo = [b for b in blocks(page) if b.language in RUNNABLE and not b.reasons]
    clone = Clone(tmp_path / 'mmghost', cache)
    monkeypatch.chdir(clone.folder)
    monkeypatch.setenv('TORCH_HOME', str(cache))
    monkeypatch.syspath_prepend(str(clone.folder))
    scenes.SCENES.get(page, lambda clone: None)(clone)
    failed = []
    for block in todo:
        try:
            clone.follow(block)
        except Exception as error:  # the others are worth knowing too
            failed.append(f'{block}: {type(error).__name__}: {error}')
    assert not failed, '\n\n'.join(failed)
