"""Our backbones keep every promise: none is broken, and none is lacking."""

import pytest

from tests.contract.backbones import OURS, Lacking
from tests.contract.promises import PROMISES, compiles, float16

SLOW = (compiles,)


@pytest.mark.parametrize(
    'words',
    [
        pytest.param(words, marks=pytest.mark.slow if function in SLOW else ())
        for words, function in PROMISES.items()
    ],
)
@pytest.mark.parametrize('backbone', OURS, ids=str)
def test_it_keeps_the_promise(backbone, words):
    try:
        PROMISES[words](backbone)
    except Lacking as lacking:
        if PROMISES[words] is float16:
            pytest.skip(str(lacking))
        raise
