"""The picture that tools/visualization/vis_dfc.py writes."""

import os
from collections.abc import Sequence

import numpy as np

from .attention_maps import StageMaps


def draw_attention(
    image: np.ndarray,
    stages: Sequence[StageMaps],
    out: str | os.PathLike,
    cam: tuple[np.ndarray, str] | None = None,
) -> None:
    """Draw gates, the attention of a query position, and Grad-CAM over a picture.

    The first row shows the picture and the gate at each stride, the second (with a
    query) what the query draws on. Each map has its own scale, written beside it, for
    gates differ more between strides than within one.

    Args:
        image: RGB, (H, W, 3).
        stages: See :func:`mmghost.analysis.attention_maps.stage_maps`.
        out: The picture to write.
        cam: A Grad-CAM map, (H, W), and its title.

    Raises:
        ImportError: If matplotlib is missing.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = image.shape[:2]
    has_query = stages[0].drawn is not None
    rows = 1 + (has_query or cam is not None)
    columns = 1 + len(stages)
    side = 3.0
    figure = Figure(
        figsize=(columns * side, rows * (0.8 * side * height / width + 0.35)),
        layout='constrained',
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    for one in axes.flat:
        one.axis('off')

    axes[0, 0].imshow(image)
    axes[0, 0].set_title('picture')
    if has_query:
        row, column = stages[0].query
        small = stages[0].drawn.shape
        axes[0, 0].plot(
            (column + 0.5) * width / small[1], (row + 0.5) * height / small[0],
            'P', color='red', markeredgecolor='white', markersize=9,
        )  # fmt: skip
        axes[0, 0].set_title('picture, query')
    for i, stage in enumerate(stages):
        _overlay(
            axes[0, i + 1], image, stage.gate, f'gate, stride {stage.stride}', figure
        )
        if has_query:
            _overlay(
                axes[1, i + 1],
                image,
                stage.drawn,
                f'query draws on, stride {stage.stride}',
                figure,
                low=0.0,
                marks=stage.query,
            )
    if cam is not None:
        _overlay(axes[1, 0], image, cam[0], cam[1], figure, low=0.0)
    figure.savefig(out, dpi=110)


def _overlay(axes, image, values, title, figure, low=None, marks=None) -> None:
    """Lay a map over a picture; a position of the map is a rectangle of pixels."""
    height, width = image.shape[:2]
    axes.imshow(image.mean(2), cmap='gray', extent=(0, width, height, 0))
    shown = axes.imshow(
        values,
        cmap='viridis',
        alpha=0.6,
        extent=(0, width, height, 0),
        interpolation='nearest',
        vmin=low,
    )
    if marks is not None:
        y, x = (
            (p + 0.5) * s / n for p, s, n in zip(marks, (height, width), values.shape)
        )
        axes.plot(x, y, '+', color='red', markersize=9)
    axes.set_title(title, fontsize=9)
    figure.colorbar(shown, ax=axes, shrink=0.8, format='%.3f')
