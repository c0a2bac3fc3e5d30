"""The stand-ins against what mmcv's compiled operators made of the same inputs."""

import itertools

import pytest
import torch

from mmghost.ops.extension import PROVIDED, make_extension
from tests.ops.operator_calls import CALLS, Record, call, compiled_ext, load

RECORDS: dict[str, list[Record]] = {operator: [] for operator in CALLS}
for one in load():
    RECORDS[one.operator].append(one)

# rtol = atol. float32 and float64 differ by the order of sums alone; scores and
# losses are at most a few units. mmcv sums float16 in float16, up to 36 terms of the
# order of 1, which have steps of 1/1024 to 1/128; the stand-ins sum in float32.
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-12, torch.float16: 3e-2}


def assert_same(found: dict, expected: dict, name: str) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        tolerance = TOLERANCES.get(value.dtype, 0)
        torch.testing.assert_close(
            found[key].cpu(),
            value,
            rtol=tolerance,
            atol=tolerance,
            equal_nan=True,
            msg=lambda text, key=key: f'{name}, {key}: {text}',
        )


def test_every_stand_in_has_records():
    for operator in PROVIDED:
        assert RECORDS[operator.split('_forward')[0].split('_backward')[0]]


@pytest.mark.parametrize('record', itertools.chain(*RECORDS.values()), ids=str)
def test_stand_in_gives_what_compiled_mmcv_gave(record: Record):
    found = call(make_extension(), record.operator, record.inputs, record.settings)
    assert_same(found, record.outputs, record.name)


ONLY_CUDA = ('roi_pool', 'sigmoid_focal_loss', 'softmax_focal_loss')


@pytest.mark.parametrize('operator', sorted(set(CALLS) - set(ONLY_CUDA)))
def test_stand_in_gives_what_compiled_mmcv_gives(operator: str):
    compiled = compiled_ext()
    if compiled is None:
        pytest.skip('mmcv is installed without compiled operators')
    for record in RECORDS[operator]:
        expected = call(compiled, operator, record.inputs, record.settings)
        found = call(make_extension(), operator, record.inputs, record.settings)
        assert_same(found, expected, record.name)


@pytest.mark.gpu
@pytest.mark.parametrize('operator', sorted(set(CALLS) - {'softnms', 'nms_match'}))
def test_stand_in_gives_the_same_on_a_gpu(operator: str):
    for record in RECORDS[operator]:
        if 'very_low' in record.name:
            continue  # below -10000 mmcv itself differs between CPU and GPU
        inputs = {key: value.cuda() for key, value in record.inputs.items()}
        found = call(make_extension(), operator, inputs, record.settings)
        assert_same(found, record.outputs, record.name)
