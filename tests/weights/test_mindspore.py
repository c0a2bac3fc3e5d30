"""The MindSpore reader takes what MindSpore writes, and fails cleanly on all else."""

import contextlib
import random
import struct

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmghost.weights import WeightsError, mindspore
from tests.weights.writers import field, tensor, varint, write_mindspore

STATE = {
    'conv_stem.weight': torch.randn(4, 3, 3, 3),
    'bn1.gamma': torch.ones(4),
    'blocks.0.half': torch.randn(2, 2).half(),
    'blocks.0.brain': torch.randn(3).bfloat16(),
    'step': torch.tensor([7], dtype=torch.int32),
}


@pytest.mark.parametrize('packed', [False, True], ids=['proto2', 'packed'])
def test_tensors_come_back_as_written(packed):
    found = mindspore.read(write_mindspore(STATE, packed), 'a.ckpt')
    assert list(found) == list(STATE)
    for name, value in STATE.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


def test_scalars_strings_checksums_and_unknown_fields_are_passed_over():
    number = field(1, 0) + field(2, b'Float32') + field(3, struct.pack('<f', 2.5))
    text = field(2, b'str') + field(3, b'hello')
    data = (
        field(1, field(1, b'lr') + field(2, number))
        + field(1, field(1, b'note') + field(2, text) + field(9, b'later') + field(8, 3))
        + varint(7 << 3 | 5) + b'1234'
        + varint(7 << 3 | 1) + b'12345678'
        + write_mindspore(STATE)
        + b'crc_num' + b'0' * 10
    )  # fmt: skip
    found = mindspore.read(data, 'a.ckpt')
    assert found['lr'].shape == () and found['lr'] == 2.5
    assert list(found) == ['lr', *STATE]


def entry(dims, kind=b'Float32', content=b'', name=b'w'):
    body = b''.join(field(1, dim) for dim in dims) + field(2, kind) + field(3, content)
    return field(1, field(1, name) + field(2, body))


HOSTILE = {
    'a length beyond the end': varint(10) + varint(1 << 40),
    'a length that is negative in 64 bits': varint(10) + varint((1 << 64) - 1),
    'a number of 11 bytes': b'\xff' * 11,
    'a field without a number': b'\x02\x01a',
    'a group, long out of use': varint(1 << 3 | 3) + b'abc',
    'dims that multiply beyond memory': entry([1 << 40, 1 << 40]),
    'dims that multiply to zero': entry([0, 4]),
    'more dims than any tensor': entry([1] * 9, content=b'1234'),
    'fewer bytes than the dims say': entry([4], content=b'1234'),
    'more bytes than the dims say': entry([1], content=b'12345678'),
    'an unknown type': entry([1], kind=b'Float128', content=b'0' * 16),
    'a type that is no text': entry([1], kind=b'\xff\xfe', content=b'1234'),
    'a name that is no text': entry([1], content=b'1234', name=b'\xff\xfe'),
    'a name of a megabyte': entry([1], content=b'1234', name=b'n' * 1_000_000),
    'no name': field(1, field(2, tensor(torch.ones(1)))),
    'no tensor': field(1, field(1, b'w')),
    'no content': field(1, field(1, b'w') + field(2, field(2, b'Float32'))),
    'the same name twice': entry([1], content=b'1234') * 2,
    'nothing of MindSpore': field(5, b'abc'),
    'a tensor where a number should be': field(1, field(1, 5) + field(2, 6)),
}


@pytest.mark.parametrize('what', HOSTILE)
def test_hostile_files_end_in_an_error_that_names_the_byte(what):
    with pytest.raises(WeightsError, match=r'at byte \d+|without any tensor'):
        mindspore.read(HOSTILE[what], 'a.ckpt')


def test_a_file_cut_anywhere_says_so():
    data = write_mindspore(STATE)
    boundaries = {0}
    for name in STATE:
        names = list(STATE)[: list(STATE).index(name) + 1]
        boundaries.add(len(write_mindspore({n: STATE[n] for n in names})))
    for end in range(len(data)):
        if end not in boundaries:  # there it is a whole file with fewer tensors
            with pytest.raises(WeightsError, match='damaged MindSpore checkpoint'):
                mindspore.read(data[:end], 'a.ckpt')


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_never_end_in_another_error(data):
    with contextlib.suppress(WeightsError):
        mindspore.read(data, 'a.ckpt')
    mindspore.looks_like(data)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.randoms(use_true_random=False), st.integers(1, 8))
def test_flipped_bytes_never_end_in_another_error(rng: random.Random, count: int):
    """Flips go to the structure, of which a network's file has a byte in a hundred."""
    data = bytearray(write_mindspore({n: v.reshape(-1)[:2] for n, v in STATE.items()}))
    for _ in range(count):
        data[rng.randrange(len(data))] = rng.randrange(256)
    try:
        found = mindspore.read(bytes(data), 'a.ckpt')
    except WeightsError:
        return
    assert all(isinstance(value, torch.Tensor) for value in found.values())


def test_memory_stays_near_the_size_of_the_file():
    import tracemalloc

    data = write_mindspore({'w': torch.zeros(250_000)})
    tracemalloc.start()
    mindspore.read(data, 'a.ckpt')
    for hostile in HOSTILE.values():
        with pytest.raises(WeightsError):
            mindspore.read(hostile, 'a.ckpt')
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The slice, its copy and the tensor's own memory; torch's is not traced.
    assert peak < 3 * len(data)


@pytest.mark.parametrize(
    ('theirs', 'ours'),
    [
        ('conv_stem.weight', 'conv_stem.weight'),
        ('bn1.moving_variance', 'bn1.running_var'),
        ('blocks.0.ghost1.primary_conv.conv.weight', 'blocks.0.0.ghost1.primary_conv.0.weight'),
        ('blocks.6.ghost2.cheap_operation.bn.beta', 'blocks.6.0.ghost2.cheap_operation.1.bias'),
        ('blocks.3.dw.bn.gamma', 'blocks.3.0.bn_dw.weight'),
        ('blocks.15.ghost1.short_conv.2.conv.weight', 'blocks.8.3.ghost1.short_conv.4.weight'),
        ('blocks.15.ghost1.short_conv.2.bn.gamma', 'blocks.8.3.ghost1.short_conv.5.weight'),
        ('blocks.11.shortcut.1.bn.moving_mean', 'blocks.7.0.shortcut.3.running_mean'),
        ('blocks.9.se.conv_reduce.bias', 'blocks.6.3.se.conv_reduce.bias'),
        ('blocks.16.bn.gamma', 'blocks.9.0.bn1.weight'),
        ('classifier.bias', 'classifier.bias'),
        ('moments.conv_stem.weight', None),
        ('blocks.17.conv.weight', None),
        ('blocks.3.ghost1.primary_conv.weight', None),
    ],
)  # fmt: skip
def test_names_are_translated(theirs, ours):
    assert mindspore.released_name(theirs) == ours
