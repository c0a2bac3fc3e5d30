"""Records what mmcv's compiled operators make of many inputs, for the tests beside it.

Run it again only when cases are added; it needs a C++ compiler and a compiled mmcv::

    python -m tests.ops.record --ext build/lib/mmcv/_ext.so

mmcv compiles RoIPool and focal loss for CUDA only. Their kernels, whose source lies in
every mmcv (``mmcv/ops/csrc``), are compiled for the host instead.
"""

import argparse
import ctypes
import itertools
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import mmcv
import numpy as np
import torch
from torch import Tensor

from tests.ops.operator_calls import CALLS, Record, call, compiled_ext, save

HERE = Path(__file__).parent
Case = tuple[str, dict[str, Tensor], dict]  # name, inputs, settings


class HostKernels:
    """mmcv's CUDA kernels of RoIPool and focal loss, with the signatures of _ext."""

    def __init__(self, folder: str) -> None:
        library = Path(folder) / 'kernels.so'
        sources = Path(mmcv.__file__).parent / 'ops/csrc/common/cuda'
        command = [
            *('c++', '-O1', '-shared', '-fPIC', '-o', str(library)),
            *(f'-I{HERE / "host_kernels"}', f'-I{sources}'),
            str(HERE / 'host_kernels/kernels.cpp'),
        ]
        subprocess.run(command, check=True)
        self.library = ctypes.CDLL(str(library))

    def _run(self, name: str, *arguments: Tensor | int | float) -> None:
        converted = []
        for value in arguments:
            if isinstance(value, Tensor):
                assert value.is_contiguous()
                # No weights are a null pointer to the kernels.
                pointer = value.data_ptr() if value.numel() else None
                converted.append(ctypes.c_void_p(pointer))
            elif isinstance(value, float):
                converted.append(ctypes.c_float(value))
            else:
                converted.append(ctypes.c_int(value))
        getattr(self.library, name)(*converted)

    def roi_pool_forward(
        self, input, rois, output, argmax, pooled_height, pooled_width, spatial_scale
    ):
        self._run(
            'roi_pool_forward', output.numel(), input, rois, output, argmax,
            pooled_height, pooled_width, float(spatial_scale), *input.shape[1:],
        )  # fmt: skip

    def roi_pool_backward(
        self, grad, rois, argmax, grad_input, pooled_height, pooled_width, spatial_scale
    ):
        self._run(
            'roi_pool_backward', grad.numel(), grad, rois, argmax, grad_input,
            pooled_height, pooled_width, *grad_input.shape[1:],
        )  # fmt: skip

    def _focal(self, name, count, tensors, gamma, alpha):
        classes = tensors[0].shape[1]
        self._run(name, count, *tensors, float(gamma), float(alpha), classes)

    def sigmoid_focal_loss_forward(self, input, target, weight, output, gamma, alpha):
        tensors = (input, target, weight, output)
        self._focal('sigmoid_focal_loss_forward', input.numel(), tensors, gamma, alpha)

    def sigmoid_focal_loss_backward(self, input, target, weight, grad, gamma, alpha):
        tensors = (input, target, weight, grad)
        self._focal('sigmoid_focal_loss_backward', input.numel(), tensors, gamma, alpha)

    def softmax_focal_loss_forward(self, input, target, weight, output, gamma, alpha):
        tensors = (input, target, weight, output)
        self._focal('softmax_focal_loss_forward', len(input), tensors, gamma, alpha)

    def softmax_focal_loss_backward(
        self, input, target, weight, buff, grad, gamma, alpha
    ):
        tensors = (input, target, weight, buff, grad)
        self._focal('softmax_focal_loss_backward', len(input), tensors, gamma, alpha)


def boxes(
    random: np.random.RandomState, count: int, size: float, step: float
) -> np.ndarray:
    """Make boxes on a lattice, so that overlaps and scores tie now and then."""
    corner = random.rand(count, 2) * size
    extent = random.rand(count, 2) * size / 2
    found = np.concatenate([corner, corner + extent], axis=1)
    return np.round(found / step) * step


def floats(array: np.ndarray, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.tensor(np.asarray(array)).to(dtype)


def special_boxes() -> dict[str, list]:
    """Boxes in unusual relations; the thresholds of the cases lie on their overlaps."""
    ten = [0, 0, 10, 10]
    return {
        'none': [],
        'one': [ten],
        'equal': [ten] * 5,
        'half': [ten, [0, 0, 10, 5], [0, 0, 5, 10]],
        'tenths': [ten, [0, 0, 10, 3], [0, 0, 7, 10], [0, 0, 1, 10]],
        'no_area': [[3, 3, 3, 3], [3, 3, 3, 3], [1, 3, 5, 3], ten],
        'inverted': [[8, 8, 2, 2], [2, 2, 8, 8], [8, 2, 2, 8]],
        'touching': [ten, [10, 0, 20, 10], [11, 0, 20, 10]],
    }


def box_sets() -> Iterator[tuple[str, Tensor, Tensor]]:
    random = np.random.RandomState(0)
    for name, found in special_boxes().items():
        scores = [0.5, 0.9, 0.5, 0.9, 0.1][: len(found)]
        yield name, floats(found).view(-1, 4), floats(scores)
    for count, step in ((40, 1.0), (60, 0.001)):
        found = boxes(random, count, 30, step)
        # Few different scores, so that the order of equal ones shows.
        scores = np.round(random.rand(count) * 8) / 8
        yield f'random{count}', floats(found), floats(scores)
    # As batched_nms does: classes moved apart.
    moved = found + np.round(random.rand(60) * 2)[:, None] * 1333.37
    yield 'moved', floats(moved), floats(random.rand(60))


def nms_cases() -> Iterator[Case]:
    for name, found, scores in box_sets():
        for offset, threshold in itertools.product((0, 1), (0.0, 0.3, 0.5, 0.7)):
            yield (
                f'{name}-{offset}-{threshold}',
                {'boxes': found, 'scores': scores},
                {'iou_threshold': threshold, 'offset': offset},
            )
    # Enough equal scores for a sort to switch its method.
    random = np.random.RandomState(1)
    found, scores = boxes(random, 400, 200, 0.25), random.randint(0, 5, 400) / 8
    yield (
        'many',
        {'boxes': floats(found), 'scores': floats(scores)},
        {'iou_threshold': 0.6, 'offset': 0},
    )


def softnms_cases() -> Iterator[Case]:
    for name, found, scores in box_sets():
        for method, (offset, threshold, sigma, lowest) in itertools.product(
            (0, 1, 2), ((0, 0.3, 0.5, 1e-3), (1, 0.5, 0.3, 0.2))
        ):
            yield (
                f'{name}-{method}-{offset}',
                {'boxes': found, 'scores': scores},
                {
                    'iou_threshold': threshold,
                    'sigma': sigma,
                    'min_score': lowest,
                    'method': method,
                    'offset': offset,
                },
            )


def nms_match_cases() -> Iterator[Case]:
    for name, found, scores in box_sets():
        dets = torch.cat([found, scores[:, None]], dim=1)
        if len(dets) == 0:
            continue  # mmcv answers this one itself
        for threshold in (0.3, 0.5, 0.7):
            yield f'{name}-{threshold}', {'dets': dets}, {'iou_threshold': threshold}


def rois_of(size: float) -> np.ndarray:
    """RoIs inside, across and outside a picture of this size, in two pictures."""
    corners = np.array(
        [
            [0.1, 0.2, 0.7, 0.6],
            [0.3, 0.3, 0.31, 0.32],  # less than a px
            [0.0, 0.0, 1.0, 1.0],
            [-0.4, -0.3, 0.5, 0.4],  # over the upper left edge
            [0.6, 0.5, 1.5, 1.4],  # over the lower right edge
            [1.5, 1.5, 2.0, 2.0],  # outside
            [-2.0, -2.0, -1.5, -1.5],
            [0.5, 0.5, 0.5, 0.5],  # no size
            [0.5, 0.2, 0.5, 0.9],
            [0.25, 0.25, 0.75, 0.75],  # on px borders
        ]
    )
    return np.concatenate(
        [np.arange(len(corners))[:, None] % 2, corners * size], axis=1
    )


def roi_align_cases() -> Iterator[Case]:
    random = np.random.RandomState(2)
    feature = floats(np.round(random.randn(2, 2, 6, 8) * 64) / 64)
    maps = {
        'random': (feature, rois_of(32), 0.25),
        'constant': (torch.ones(2, 1, 5, 5), rois_of(20), 0.25),
        'very_low': (feature[:, :1] - 10000, rois_of(32), 0.25),
        'one_px': (feature[:, :, :1, :1].contiguous(), rois_of(4), 0.25),
        'third': (feature, rois_of(21), 1 / 3),
        'no_rois': (feature, np.zeros((0, 5)), 0.25),
        # No samples on a border, where the last bit decides whether they count.
        'half': (feature.half(), rois_of(27), 0.25),
        'double': (feature.double(), rois_of(22.7), 1 / 3),
    }
    for name, (feature, rois, scale) in maps.items():
        for mode, aligned, ratio, bins in itertools.product(
            (0, 1), (False, True), (0, 2), ((2, 2), (3, 1))
        ):
            grad = random.randint(-8, 9, (len(rois), feature.shape[1], *bins)) / 8
            yield (
                f'{name}-{mode}-{int(aligned)}-{ratio}-{bins[0]}',
                {
                    'feature': feature,
                    'rois': floats(rois, feature.dtype),
                    'grad': floats(grad, feature.dtype),
                },
                {
                    'aligned_height': bins[0],
                    'aligned_width': bins[1],
                    'spatial_scale': scale,
                    'sampling_ratio': ratio,
                    'pool_mode': mode,
                    'aligned': aligned,
                },
            )


def roi_pool_cases() -> Iterator[Case]:
    random = np.random.RandomState(3)
    feature = floats(np.round(random.randn(2, 2, 6, 8) * 64) / 64)
    malformed = np.array([[0, 20, 20, 10, 25], [1, 8, 8, 7, 7], [0, 4, 4, 4, 4]])
    maps = {
        'random': (feature, rois_of(32), 0.25),
        'constant': (torch.ones(2, 1, 5, 5), rois_of(20), 0.25),
        'one_px': (feature[:, :, :1, :1].contiguous(), rois_of(4), 0.25),
        'third': (feature, rois_of(21), 1 / 3),
        'malformed': (feature, malformed, 0.25),
        'no_rois': (feature, np.zeros((0, 5)), 0.25),
    }
    for name, (feature, rois, scale) in maps.items():
        for bins in ((1, 1), (2, 2), (7, 3)):
            grad = random.randint(-8, 9, (len(rois), feature.shape[1], *bins)) / 8
            yield (
                f'{name}-{bins[0]}',
                {'feature': feature, 'rois': floats(rois), 'grad': floats(grad)},
                {
                    'pooled_height': bins[0],
                    'pooled_width': bins[1],
                    'spatial_scale': scale,
                },
            )


FOCUS = ((2.0, 0.25), (0.0, 0.5), (1.5, 0.3))  # gamma, alpha


def sigmoid_focal_loss_cases() -> Iterator[Case]:
    random = np.random.RandomState(4)
    logits = np.round(random.randn(12, 5) * 2 * 64) / 64
    target = random.randint(0, 6, 12)  # 5 is background
    saturated = np.array([[100.0, -100.0, 30.0, -30.0, 0.0]] * 6)
    sets = {
        'random': (logits, target, []),
        'negative_target': (logits, target - 3, []),
        'weighted': (logits, target % 5, [0.5, 1, 2, 0, 3]),
        'saturated': (saturated, np.arange(6), []),
        'one_class': (logits[:, :1], target % 2, []),
    }
    for name, (logits, target, weight) in sets.items():
        for gamma, alpha in FOCUS:
            yield (
                f'{name}-{gamma}',
                {
                    'logits': floats(logits),
                    'target': torch.tensor(target),
                    'weight': floats(weight),
                },
                {'gamma': gamma, 'alpha': alpha},
            )


def softmax_focal_loss_cases() -> Iterator[Case]:
    random = np.random.RandomState(5)
    softmax = floats(random.randn(12, 5) * 2).softmax(dim=1)
    target = random.randint(0, 5, 12)
    certain = torch.eye(5)
    sets = {
        'random': (softmax, target, []),
        'ignored_rows': (softmax, target - 2, []),
        'weighted': (softmax, target, [0.5, 1, 2, 0, 3]),
        'certain': (certain, np.arange(5), []),
        'certainly_wrong': (certain, np.arange(5)[::-1].copy(), []),
    }
    for name, (softmax, target, weight) in sets.items():
        for gamma, alpha in FOCUS:
            yield (
                f'{name}-{gamma}',
                {
                    'softmax': softmax,
                    'target': torch.tensor(target),
                    'weight': floats(weight),
                },
                {'gamma': gamma, 'alpha': alpha},
            )


# kernel, stride, padding, dilation (y, x each), groups, deform groups, kind of offsets
CONVOLUTIONS = {
    'plain': ((3, 3), (1, 1), (1, 1), (1, 1), 1, 1, 'random'),
    'uneven': ((3, 2), (2, 1), (0, 1), (1, 2), 1, 1, 'random'),
    'groups': ((3, 3), (1, 1), (1, 1), (1, 1), 2, 1, 'random'),
    'deform_groups': ((3, 3), (1, 1), (1, 1), (1, 1), 1, 2, 'random'),
    'both_groups': ((1, 1), (1, 1), (0, 0), (1, 1), 2, 4, 'random'),
    'no_shift': ((3, 3), (1, 1), (1, 1), (1, 1), 1, 1, 'zero'),
    'whole_px': ((3, 3), (1, 1), (1, 1), (1, 1), 1, 1, 'whole'),
    'far_out': ((3, 3), (1, 1), (1, 1), (1, 1), 1, 1, 'far'),
}


def convolutions(batch: int, modulated: bool) -> Iterator[Case]:
    random = np.random.RandomState(6)
    for name, options in CONVOLUTIONS.items():
        kernel, stride, padding, dilation, groups, deform_groups, kind = options
        shape = (5, 6)
        out = [
            (s + 2 * p - d * (k - 1) - 1) // t + 1
            for s, p, d, k, t in zip(shape, padding, dilation, kernel, stride)
        ]
        samples = deform_groups * kernel[0] * kernel[1]
        shift = random.randn(batch, 2 * samples, *out)
        shift *= {'random': 1.0, 'zero': 0.0, 'whole': 1.5, 'far': 6.0}[kind]
        # Coarse numbers pack well. Shifts lie between px except where px are meant:
        # at a whole px, where the slope has a break, every bit decides.
        shift = np.round(shift) if kind == 'whole' else np.round(shift * 16) / 16 + 0.03
        for dtype in (torch.float32, torch.float16, torch.float64):
            if name != 'plain' and dtype != torch.float32:
                continue
            inputs = {
                'feature': np.round(random.randn(batch, 4, *shape) * 16) / 16,
                'offset': shift if kind != 'zero' else shift * 0,
                'weight': np.round(random.randn(4, 4 // groups, *kernel) * 16) / 16,
                'grad': random.randint(-8, 9, (batch, 4, *out)) / 8,
            }
            if modulated:
                inputs['mask'] = np.round(random.rand(batch, samples, *out) * 16) / 16
                inputs['bias'] = np.arange(4) / 4
            inputs = {key: floats(value, dtype) for key, value in inputs.items()}
            settings = {'group': groups, 'deformable_group': deform_groups}
            for key, (y, x) in {
                'kernel': kernel,
                'stride': stride,
                'pad': padding,
                'dilation': dilation,
            }.items():
                settings |= {f'{key}_h': y, f'{key}_w': x}
            yield f'{name}-{str(dtype)[6:]}', inputs, settings


def deform_conv_cases() -> Iterator[Case]:
    short = {'kernel': 'k', 'stride': 'd', 'pad': 'pad', 'dilation': 'dilation'}
    for name, inputs, settings in convolutions(batch=2, modulated=False):
        renamed = {}
        for key, value in settings.items():
            stem, _, direction = key.rpartition('_')
            renamed[short[stem] + direction.upper() if stem in short else key] = value
        for step in (1, 2) if name.startswith('plain') else (2,):
            yield f'{name}-{step}', inputs, renamed | {'im2col_step': step}


def modulated_deform_conv_cases() -> Iterator[Case]:
    for name, inputs, settings in convolutions(batch=2, modulated=True):
        for with_bias in (True, False) if name.startswith('plain') else (True,):
            bias = inputs['bias'] if with_bias else inputs['bias'][:0]
            yield (
                f'{name}-{int(with_bias)}',
                inputs | {'bias': bias},
                settings | {'with_bias': with_bias},
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--ext', required=True, help="mmcv's compiled _ext*.so")
    compiled = compiled_ext(parser.parse_args().ext)
    with tempfile.TemporaryDirectory() as folder:
        host = HostKernels(folder)
        for operator in CALLS:
            only_cuda = operator == 'roi_pool' or 'focal' in operator
            records = []
            for name, inputs, settings in globals()[f'{operator}_cases']():
                outputs = call(
                    host if only_cuda else compiled, operator, inputs, settings
                )
                records.append(Record(operator, name, inputs, settings, outputs))
            print(f'{operator}: {len(records)} cases, {save(records):,} bytes')


if __name__ == '__main__':
    main()
