"""Draw results on their images."""

import colorsys
import warnings
from contextlib import suppress
from functools import cache
from typing import Any

import cv2
import numpy as np

from .metadata import ModelMetadata
from .results import Classification, Detections, SegmentationMap, class_name

# Of Debian, Ubuntu, Windows and macOS, with Chinese and the letters of most languages.
_FONTS = ('NotoSansCJK-Regular.ttc', 'wqy-zenhei.ttc', 'msyh.ttc', 'PingFang.ttc')


def draw(
    image: np.ndarray,
    result: Classification | Detections | SegmentationMap,
    metadata: ModelMetadata,
    score_thr: float = 0.3,
) -> np.ndarray:
    """Draw a result on a copy of its image.

    Args:
        image: RGB bytes, (H, W, 3).
        result: What was found in it.
        metadata: The metadata of the file; classes and colors are used.
        score_thr: Lowest score of an object to draw.
    """
    if isinstance(result, SegmentationMap):
        labels = range(int(result.labels.max()) + 1)
        colors = np.array([color_of(metadata, label) for label in labels], float)
        return ((image + colors[result.labels]) / 2).astype(np.uint8)
    out = image.copy()
    if isinstance(result, Classification):
        write(out, (2, 14), result.summary(metadata.classes), (0, 0, 0))
        return out
    shown = (result.scores >= score_thr).nonzero()[0]
    for i in shown[::-1]:  # the best object last, on top
        label = int(result.labels[i])
        name, color = class_name(metadata.classes, label), color_of(metadata, label)
        if result.masks is not None:
            mask = result.masks[i]
            out[mask] = ((out[mask] + np.array(color, float)) / 2).astype(np.uint8)
        left, top, right, bottom = (int(side) for side in result.boxes[i])
        cv2.rectangle(
            out, (left, top), (right, bottom), color, 1 + max(out.shape) // 500
        )
        # In percent, as in the images of tools/image_demo.py.
        write(out, (left, top + 12), f'{name}: {100 * result.scores[i]:.1f}', color)
    return out


def write(
    image: np.ndarray, place: tuple[int, int], text: str, color: tuple[int, int, int]
) -> None:
    """Write white text with an outline of a color, in place."""
    if not text.isascii() and (font := _font_beyond_ascii()):
        from PIL import Image, ImageDraw

        canvas = Image.fromarray(image)
        pen = ImageDraw.Draw(canvas)
        pen.text(place, text, 'white', font, 'ls', stroke_width=2, stroke_fill=color)
        image[:] = canvas
        return
    for tint, width in ((color, 4), ((255, 255, 255), 1)):
        font = cv2.FONT_HERSHEY_SIMPLEX, 0.4, tint, width
        cv2.putText(image, text, place, *font, cv2.LINE_AA)


@cache
def _font_beyond_ascii() -> Any:
    """Return a font for letters that OpenCV lacks; warn and return None without one."""
    with suppress(ImportError):
        from PIL import ImageFont

        for name in _FONTS:
            with suppress(OSError):
                return ImageFont.truetype(name, 13)
    remedy = f'install Pillow and one of {", ".join(_FONTS)}, such as fonts-noto-cjk'
    warnings.warn(f'letters beyond ASCII are drawn as ?: {remedy} (apt)', stacklevel=2)
    return None


def color_of(metadata: ModelMetadata, label: int) -> tuple[int, int, int]:
    """Return the color of a class: from the palette, or one of well-spread hues."""
    if metadata.palette and label < len(metadata.palette):
        return tuple(metadata.palette[label])
    hue = label * 0.618034 % 1  # golden ratio: neighbors never look alike
    return tuple(int(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.9, 0.8))
