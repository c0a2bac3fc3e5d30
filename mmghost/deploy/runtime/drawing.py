"""Draw results on their images."""

import colorsys

import cv2
import numpy as np

from .metadata import ModelMetadata
from .results import Classification, Detections, SegmentationMap, class_name


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
        write(out, (2, 2), result.summary(metadata.classes), (0, 0, 0))
        return out
    found = result.above(score_thr)
    order = range(len(found.labels))[::-1]  # the best object last, on top
    for i in order if found.masks is not None else ():
        mask, color = found.masks[i], color_of(metadata, int(found.labels[i]))
        out[mask] = ((out[mask] + np.array(color, float)) / 2).astype(np.uint8)
    for i in order:
        color = color_of(metadata, int(found.labels[i]))
        left, top, right, bottom = (int(side) for side in found.boxes[i])
        cv2.rectangle(
            out, (left, top), (right, bottom), color, max(1, max(out.shape) // 400)
        )
        name = class_name(metadata.classes, int(found.labels[i]))
        # In percent, as in the images of tools/image_demo.py.
        write(out, (left, top), f'{name}: {100 * found.scores[i]:.1f}', color)
    return out


def write(
    image: np.ndarray, place: tuple[int, int], text: str, color: tuple[int, int, int]
) -> None:
    """Write white text on a background of a color, in place."""
    font = cv2.FONT_HERSHEY_SIMPLEX, 0.4
    (width, height), base = cv2.getTextSize(text, *font, 1)
    left, top = place
    corner = left + width, top + height + base
    cv2.rectangle(image, place, corner, color, cv2.FILLED)
    white = (255, 255, 255)
    cv2.putText(image, text, (left, top + height), *font, white, 1, cv2.LINE_AA)


def color_of(metadata: ModelMetadata, label: int) -> tuple[int, int, int]:
    """Return the color of a class: from the palette, or one of well-spread hues."""
    if metadata.palette and label < len(metadata.palette):
        return tuple(metadata.palette[label])
    hue = label * 0.618034 % 1  # golden ratio: neighbors never look alike
    return tuple(int(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.9, 0.8))
