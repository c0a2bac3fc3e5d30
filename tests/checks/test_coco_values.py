"""What is taken from a COCO file is what pycocotools can read."""

import math

import numpy as np
import pytest
from hypothesis import strategies as st

from mmghost.checks.coco_values import (
    is_box,
    is_id,
    is_number,
    is_polygons,
    is_rle,
)
from tests.fuzzing import depths, fuzz

BAD_NUMBERS = (math.nan, math.inf, -math.inf, 10**400, -(10**400), True, '1', None, [1])


@pytest.mark.parametrize('value', BAD_NUMBERS, ids=lambda value: str(value)[:9])
def test_a_number_is_one_that_a_float_can_hold(value):
    assert not is_number(value)
    assert not is_box([1, 2, 3, value])
    assert not is_polygons([[1, 2, 3, 4, 5, value]])


def test_numbers_boxes_ids_and_polygons_are_taken():
    assert all(map(is_number, (0, -1, 0.5, 10**300, -1e308)))
    assert is_box([0, 0.5, 3, 4])
    assert is_id(10**400) and is_id('a') and not is_id(True) and not is_id(1.0)
    assert is_polygons([[0, 0, 9, 0, 9, 9], [-5, 0.5, 1, 1, 2, 3, 4, 5]])
    assert not is_polygons([[0, 0, 9, 9]])
    # Its outline would be walked along for hours.
    assert not is_polygons([[0, 0, 9, 0, 9, 1e30]])


MASKS = st.builds(
    lambda height, width, seed, share: (
        np.random.default_rng(seed).random((height, width)) < share
    ),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 99),
    st.sampled_from([0.0, 0.01, 0.5, 1.0]),
)


@depths(50, 3000)
def test_every_mask_is_taken_in_both_forms_and_only_at_its_size(examples):
    mask = pytest.importorskip('pycocotools.mask')

    def holds(pixels):
        height, width = pixels.shape
        rle = mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
        compressed = dict(size=[height, width], counts=rle['counts'].decode())
        changes = np.flatnonzero(np.diff(pixels.T.flatten(), prepend=False))
        edges = [0, *changes, height * width]
        plain = dict(size=[height, width], counts=np.diff(edges).tolist())
        for value in (compressed, plain):
            assert is_rle(value, (width, height))
            assert not is_rle(value, (width + 1, height))
            assert not is_rle({**value, 'size': [height + 1, width]}, (width, height))

    fuzz(examples, holds, MASKS)


@pytest.mark.parametrize('counts', ['\ud800', '0\udfff1', '\xe9'])
def test_a_mask_of_other_characters_is_none(counts):
    """JSON may hold a lone surrogate, which no encoding has."""
    assert not is_rle(dict(size=[4, 4], counts=counts), (4, 4))


@depths(200, 5000)
def test_a_damaged_mask_that_is_taken_can_be_read(examples):
    mask = pytest.importorskip('pycocotools.mask')

    def holds(pixels, at, inserted, kept):
        rle = mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
        counts = rle['counts'].decode()
        at %= len(counts) + 1
        value = dict(
            size=rle['size'], counts=counts[:at] + inserted + counts[at + kept :]
        )
        if is_rle(value, pixels.shape[::-1]):
            assert mask.decode(value).shape == pixels.shape

    characters = st.text(st.sampled_from('0123ABYZ^_`mno'), max_size=3)
    anything = st.text(max_size=2)
    fuzz(
        examples,
        holds,
        MASKS,
        st.integers(0, 99),
        st.one_of(characters, anything),
        st.integers(0, 3),
    )


@pytest.mark.parametrize(
    'counts',
    ['', 'o', '/0', 'p', '\u00e9', 'o' * 20 + '0', [], [-1, 5], [2.5, 1.5], None, 4],
)
def test_counts_that_are_none_are_refused(counts):
    assert is_rle(dict(size=[2, 2], counts=[1, 3]), (2, 2))
    assert not is_rle(dict(size=[2, 2], counts=counts), (2, 2))
