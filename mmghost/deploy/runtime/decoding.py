"""Postprocessing for files that leave it to the runtime: NMS, resizing of logits."""

import cv2
import numpy as np

from .images import Prepared
from .metadata import ModelMetadata

Arrays = dict[str, np.ndarray]


def label_map(
    logits: np.ndarray, metadata: ModelMetadata, prepared: Prepared
) -> np.ndarray:
    """Resize logits to the input, crop the padding, resize to the image, label.

    Args:
        logits: (C, h, w).
        metadata: The metadata of the file.
        prepared: The input.

    Returns:
        int64, (1, height, width of the image).
    """
    pixels = np.ascontiguousarray(logits.transpose(1, 2, 0))
    height, width = prepared.image_size
    pixels = resize(pixels, prepared.pixels.shape[1:])
    pixels = resize(pixels[:height, :width], prepared.original_size)
    if pixels.shape[2] == 1:
        probability = 1 / (1 + np.exp(-pixels[..., 0]))
        return (probability > metadata.decoding['threshold']).astype(np.int64)[None]
    return pixels.argmax(2)[None]


def resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (H, W, C) bilinearly to a height and a width."""
    # OpenCV takes 512 channels at most, and drops a single one.
    parts = np.split(pixels, range(512, pixels.shape[2], 512), axis=2)
    resized = [cv2.resize(part, size[::-1]).reshape(*size, -1) for part in parts]
    return np.concatenate(resized, axis=2)


def detections(outputs: Arrays, decoding: dict, prepared: Prepared) -> Arrays:
    """Choose objects as mmdet does: best pairs by level, clipping, scaling, NMS.

    Args:
        outputs: ``scores`` (1, P, classes), ``boxes`` (1, P, 4) in px of the input and
            with some heads ``factors`` (1, P).
        decoding: The entry of the metadata.
        prepared: The input.

    Returns:
        ``dets`` (1, K, 5) in px of the image, best first, and ``labels`` (1, K).
    """
    # ncnn adds axes of 1.
    scores, boxes = outputs['scores'][0], outputs['boxes'].reshape(-1, 4)
    factors = outputs['factors'].reshape(-1) if 'factors' in outputs else None
    if factors is not None:
        scores = np.where(factors[:, None] >= decoding['conf_thr'], scores, 0)
    parts, start = [], 0
    for count in decoding['levels']:
        level = scores[start : start + count]
        places, labels = (level > decoding['score_thr']).nonzero()
        best = np.argsort(-level[places, labels], kind='stable')[: decoding['nms_pre']]
        parts.append((places[best] + start, labels[best]))
        start += count
    places, labels = (np.concatenate(part) for part in zip(*parts))
    scores, boxes = scores[places, labels], boxes[places]
    if factors is not None:
        scores = scores * factors[places]
    if decoding['clip']:
        height, width = prepared.image_size
        boxes = boxes.clip(0, [width, height, width, height])
    boxes = boxes / np.tile(np.float32(prepared.scale_factor), 2)
    sides = boxes[:, 2:] - boxes[:, :2]
    keep = (sides > decoding['min_bbox_size']).all(1)
    boxes, scores, labels = boxes[keep], scores[keep], labels[keep]
    groups = np.zeros_like(labels) if decoding['class_agnostic'] else labels
    rectangles = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(
        rectangles.astype(float),
        scores.astype(float),
        groups.astype(np.int32),
        0.0,
        decoding['iou_threshold'],
    )
    kept = np.array(kept, int).reshape(-1)
    kept = kept[np.argsort(-scores[kept], kind='stable')][: decoding['max_per_img']]
    dets = np.concatenate([boxes[kept], scores[kept, None]], axis=1)
    return {
        'dets': dets.astype(np.float32)[None],
        'labels': labels[kept].astype(np.int64)[None],
    }
