"""docs/why.md shows what its command prints; the comparison measures what it says."""

import pytest
import torch
import torch.nn as nn

from mmghost.analysis import timm_comparison as comparison
from tests.docs.pages import read


class Bottleneck(nn.Module):
    """A bottleneck as far as the comparison knows them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ghost1 = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x):
        return self.ghost1(x)


class Toy(nn.Module):
    """Returns its second and third bottleneck's maps; the first is on a dead branch."""

    def __init__(self, fail: bool = False) -> None:
        super().__init__()
        self.fail = fail
        self.stem = nn.Conv2d(3, 4, 2, 2, bias=False)
        self.a, self.b, self.c = (Bottleneck(4) for _ in range(3))

    def forward(self, x):
        if self.fail:
            raise RuntimeError('no such | map\nmore')
        x = self.stem(x)
        self.a(x)
        second = self.b(x)
        return second, self.c(nn.functional.avg_pool2d(second, 2))


@pytest.mark.slow
def test_the_page_is_what_the_command_prints_and_so_are_its_words():
    # One test, not two: the comparison takes some seconds, and tests run side by side.
    pytest.importorskip('timm')
    pytest.importorskip('mmpretrain')
    tables = comparison.compare()
    page = read('docs/why.md')
    assert comparison.with_tables(page, comparison.render(tables)) == page

    maps, weights, conversions, attempts = (
        {row.question: row for row in table.rows} for table in tables
    )
    # five bottlenecks of stride 16 missing from the map, four of 32 from the network
    for stride, missing in ((16, 5), (32, 4)):
        row = maps[f'map of stride {stride}']
        mine, other = (int(cell.split()[-2]) for cell in (row.ours, row.theirs))
        assert mine - other == missing
    loaded, _, total = weights['the same by `pretrained=True`'].theirs.split()
    assert loaded == total
    fused = conversions["mmcv's `fuse_conv_bn`: the four maps"]
    assert fused.ours == fused.theirs == 'the same'
    assert all(row.ours == 'the same' for row in conversions.values())
    assert all(';' not in row.ours for row in weights.values())
    assert attempts['any other width, such as 0.75'].ours == 'yes'


def test_taps_count_what_a_map_depends_on_and_nothing_else():
    torch.manual_seed(0)
    second, third = comparison.taps(Toy().double())
    assert (second.stride, second.channels, second.module) == (2, 4, 'b')
    assert (second.bottlenecks, second.parameters) == (1, 48 + 16)
    assert (third.stride, third.module) == (4, 'c')
    assert (third.bottlenecks, third.parameters) == (2, 48 + 32)


def test_loaded_counts_the_tensors_that_change():
    torch.manual_seed(0)
    model = Toy()
    state = {**model.state_dict(), 'b.ghost1.weight': torch.ones(4, 4, 1, 1)}
    assert comparison.loaded(model, lambda: model.load_state_dict(state)) == 1


def test_change_is_relative_and_0_where_nothing_changes():
    torch.manual_seed(0)

    def doubled(model):
        model.b.ghost1.weight.mul_(2)
        return model

    model = comparison.trained(Toy())
    assert comparison.change(model, lambda model: model) == 0
    assert comparison.change(model, doubled) == pytest.approx(1)


@pytest.mark.parametrize(
    ('build', 'words'),
    [
        (lambda: Toy(), 'yes'),
        (lambda fast: Toy(), 'refused: TypeError'),
        (lambda: Toy(fail=True), 'built, then fails: RuntimeError: no such \\| map'),
        (
            lambda: (_ for _ in ()).throw(ValueError('0 to 5')),
            'refused: ValueError: 0 to 5',
        ),
    ],
    ids=['taken', 'refused', 'fails', 'refused with a reason'],
)
def test_an_attempt_tells_what_happened(build, words):
    side = comparison.Side('toy', build, build)
    assert comparison.attempt(side, {}, maps=2).startswith(words)


def test_another_number_of_maps_than_asked_for_is_told():
    side = comparison.Side('toy', Toy, Toy)
    assert comparison.attempt(side, {}, maps=1) == 'built, returns 2 maps'


def test_a_page_without_marks_is_not_overwritten():
    with pytest.raises(ValueError, match='once each'):
        comparison.with_tables('# a page', 'tables')
