"""Results drawn on their pictures."""

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .facts import Facts
from .results import Classification, Detections, LabelMap, name_of


def draw(
    picture: np.ndarray,
    result: Classification | Detections | LabelMap,
    facts: Facts,
    score_thr: float = 0.3,
) -> Image.Image:
    """Draw a result.

    Args:
        picture: RGB bytes, (H, W, 3).
        result: What was found in it.
        facts: What the file says; its classes and colours are used.
        score_thr: Least score of an object to be drawn.

    Returns:
        A new picture.
    """
    if isinstance(result, LabelMap):
        colours = np.array(
            [colour_of(facts, label) for label in range(int(result.labels.max()) + 1)]
        )
        mixed = (picture.astype(float) + colours[result.labels]) / 2
        return Image.fromarray(mixed.astype(np.uint8))
    if isinstance(result, Classification):
        image = Image.fromarray(picture)
        write(ImageDraw.Draw(image), (2, 2), result.words(facts.classes), (0, 0, 0))
        return image
    return draw_objects(picture, result.above(score_thr), facts)


def draw_objects(picture: np.ndarray, found: Detections, facts: Facts) -> Image.Image:
    """Draw masks, then boxes, then names, the best object last."""
    pixels = picture.copy()
    if found.masks is not None:
        for mask, label in zip(found.masks[::-1], found.labels[::-1]):
            colour = np.array(colour_of(facts, int(label)))
            pixels[mask] = ((pixels[mask].astype(float) + colour) / 2).astype(np.uint8)
    image = Image.fromarray(pixels)
    canvas = ImageDraw.Draw(image)
    wide = max(1, max(image.size) // 400)
    for box, score, label in zip(
        found.boxes[::-1], found.scores[::-1], found.labels[::-1]
    ):
        colour = colour_of(facts, int(label))
        left, top, right, bottom = box.tolist()
        canvas.rectangle(
            (left, top, max(left, right), max(top, bottom)), None, colour, wide
        )
        write(
            canvas,
            (left, top),
            # In per cent, as in the pictures of tools/image_demo.py.
            f'{name_of(facts.classes, int(label))}: {100 * score:.1f}',
            colour,
        )
    return image


def write(
    canvas: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    colour: tuple[int, int, int],
) -> None:
    """Write white text on a colour."""
    font = ImageFont.load_default()
    canvas.rectangle(canvas.textbbox(place, text, font=font), fill=colour)
    canvas.text(place, text, fill=(255, 255, 255), font=font)


def colour_of(facts: Facts, label: int) -> tuple[int, int, int]:
    """The colour of a class: from the file's palette, or one of well-spread hues."""
    if facts.palette and label < len(facts.palette):
        return tuple(facts.palette[label])
    hue = label * 0.618034 % 1  # the golden ratio: neighbours never look alike
    return tuple(int(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.9, 0.8))
