"""What several test modules need."""

from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn as nn


def of_the_tree(configs: Iterable[Path]) -> list[Path]:
    """Leave out the bases, and configs of a person's own, by the names of .gitignore."""
    return sorted(
        path
        for path in configs
        if '_base_' not in path.parts
        and not path.name.startswith(('mine', 'my_', 'try'))
    )


def randomize(model: nn.Module, seed: int = 0) -> nn.Module:
    """Fill weights and running statistics with random numbers that matter.

    Fresh weights would hide errors: biases and running means are 0, variances 1, and
    what comes out of a deep network is all but 0. Here the statistics fit the weights,
    as in a trained network, so that every layer's activations are of the order of 1.
    """
    generator = torch.Generator().manual_seed(seed)

    def noise(tensor):
        return torch.randn(tensor.shape, generator=generator)

    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    modes = {m: m.training for m in model.modules()}
    momenta = [m.momentum for m in norms]
    channels = next(p for p in model.parameters() if p.ndim == 4).shape[1]
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                fan_in = module.weight[0].numel()
                module.weight.copy_(noise(module.weight) * (2 / fan_in) ** 0.5)
                if module.bias is not None:
                    module.bias.copy_(noise(module.bias) * 0.3)
        for norm in norms:
            norm.weight.copy_(1 + 0.3 * noise(norm.weight))
            norm.bias.copy_(0.3 * noise(norm.bias))
            norm.train()
            norm.momentum = 1.0
        model(torch.randn(8, channels, 128, 128, generator=generator))
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
            norm.running_mean.add_(0.1 * noise(norm.running_mean))
            norm.running_var.mul_(1 + 0.1 * noise(norm.running_var).clamp(-2, 2))
    for module, mode in modes.items():
        module.training = mode
    return model


def image(*shape: int, seed: int = 1) -> torch.Tensor:
    """Return a random image, (N, C, H, W)."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def relative_error(ours: torch.Tensor, reference: torch.Tensor) -> float:
    """Return the largest difference, relative to the largest reference value."""
    assert ours.shape == reference.shape, (ours.shape, reference.shape)
    scale = reference.abs().max().clamp(min=1e-12)
    return float((ours - reference).abs().max() / scale)
