"""Predict on images, a video or a webcam with a trained detector, segmentor or classifier.

Examples:
    python tools/image_demo.py image.jpg CONFIG CHECKPOINT --out found.png
    python tools/image_demo.py folder/ CONFIG CHECKPOINT --out found/ --score-thr 0.5
    python tools/image_demo.py folder/ CONFIG CHECKPOINT --json found.json --batch-size 8
    python tools/image_demo.py folder/ CONFIG CHECKPOINT --label-maps maps/
    python tools/image_demo.py street.mp4 CONFIG CHECKPOINT --out found.mp4
    python tools/image_demo.py 0 CONFIG CHECKPOINT --out found.mp4    # a webcam; ends by Ctrl-C
"""

import argparse
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from mmghost.checks.images import SUFFIXES, image_fault, list_images
from mmghost.deploy.runtime.results import (
    Classification,
    Detections,
    SegmentationMap,
    class_name,
)
from mmghost.engine.launch import load_config
from mmghost.engine.options import add_cfg_options
from mmghost.engine.predict import Predictor
from mmghost.errors import UserError, cli_main, near_file

VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm')  # the last is read only


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'image', help='an image, a folder of images, a video, or the number of a webcam'
    )
    parser.add_argument('config', help='a config of mmdet, mmseg or mmpretrain')
    parser.add_argument('checkpoint', help='the weights: a file or a URL')
    parser.add_argument(
        '--out', help='the image or video to draw; a folder for a folder'
    )
    parser.add_argument(
        '--json', help='the file to write all predictions into, as run_model.py does'
    )
    parser.add_argument(
        '--label-maps', help='segmentation: the folder for label maps (.png, gray)'
    )
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.3,
        help='detection: draw and count boxes of at least this score; --json gets all',
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        default=1,
        help='images at a time; those of one size are one batch',
    )
    parser.add_argument(
        '--device', help='cpu, cuda, cuda:1 ...; default: a GPU if there is one'
    )
    add_cfg_options(parser)
    args = parser.parse_args()
    if not (args.out or args.json or args.label_maps):
        parser.error('say what to write: --out, --json or --label-maps')
    if args.batch_size < 1:
        parser.error(f'--batch-size {args.batch_size}: at least 1')
    return args


def is_video(source: str) -> bool:
    """Return True for a video file and the number of a webcam."""
    if os.path.isdir(source):
        return False
    return source.isdigit() or Path(source).suffix.lower() in VIDEOS


def find_images(path: str) -> list[str]:
    """Return an image, or those below a folder, and check that they can be read."""
    if os.path.isdir(path):
        found = list_images(path, SUFFIXES)
        if not found:
            raise UserError(f'{path} holds no images ({", ".join(SUFFIXES)})')
    elif os.path.isfile(path):
        found = [path]
    else:
        raise UserError(f'{path}: there is no such image or folder{near_file(path)}')
    for name in found:
        if fault := image_fault(name):
            raise UserError(f'{name} {fault}')
    return found


def output_paths(source: str, images: Sequence[str], out: str) -> list[str]:
    """Return where the images go: into one file, or into a folder by their names.

    Args:
        source: As given by the user: an image or a folder.
        images: What :func:`find_images` found.
        out: An image to write, or a folder (made if need be), whose images get the names
            of the originals with the suffix .png.
    """
    is_folder = os.path.isdir(out) or out.endswith(os.sep)
    suffix = Path(out).suffix.lower()
    if not os.path.isdir(source) and not is_folder:
        if suffix and suffix not in SUFFIXES:
            raise UserError(f'--out {out}: images end in {", ".join(SUFFIXES)}')
        return [out if suffix else f'{out}.png']
    if not is_folder and (suffix in SUFFIXES or os.path.isfile(out)):
        raise UserError(f'--out {out}: name a folder for the images of {source}')
    start = source if os.path.isdir(source) else os.path.dirname(source)
    names = [Path(os.path.relpath(path, start or '.')) for path in images]
    stems = [name.with_suffix('') for name in names]  # a.jpg may lie beside a.png
    times = Counter(stems)
    return [
        os.path.join(out, f'{stem if times[stem] == 1 else name}.png')
        for name, stem in zip(names, stems)
    ]


class Video:
    """The frames of a video file or a webcam, and the video that is written."""

    def __init__(self, source: str, out: str | None) -> None:
        if out and Path(out).suffix.lower() not in VIDEOS[:-1]:
            raise UserError(f'--out {out}: videos end in {", ".join(VIDEOS[:-1])}')
        webcam = source.isdigit() and not os.path.exists(source)
        self._capture = cv2.VideoCapture(int(source) if webcam else source)
        if not self._capture.isOpened():
            hint = '' if webcam else near_file(source)
            raise UserError(f'{source}: no video or webcam that OpenCV can open{hint}')
        self._source, self._out, self._writer = source, out, None

    def frames(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield names and BGR images."""
        for i in itertools.count():
            there, frame = self._capture.read()
            if not (there or i):
                raise UserError(f'{self._source}: OpenCV can read no frame of it')
            if not there:
                return
            yield f'{self._source}#{i}', frame

    def write(self, frame: np.ndarray) -> None:
        """Write a BGR image."""
        if self._writer is None:
            rate = self._capture.get(cv2.CAP_PROP_FPS) or 25
            size = frame.shape[1::-1]
            Path(self._out).parent.mkdir(parents=True, exist_ok=True)
            codec = cv2.VideoWriter_fourcc(*'mp4v')
            self._writer = cv2.VideoWriter(self._out, codec, rate, size)
            if not self._writer.isOpened():
                raise UserError(f'--out {self._out}: OpenCV cannot write it; try .mp4')
        self._writer.write(frame)

    def close(self) -> None:
        """Finish what was written."""
        self._capture.release()
        if self._writer is not None:
            self._writer.release()


@dataclass(frozen=True)
class Labels:
    """The labels of a multi-label classifier, and their scores."""

    labels: list[int]
    scores: list[float]

    def summary(self, classes: Sequence[str], score_thr: float) -> str:
        """Return the result in a few words."""
        names = [class_name(classes, label) for label in self.labels]
        found = [f'{name} ({score:.2f})' for name, score in zip(names, self.scores)]
        return ', '.join(found) or 'no class reaches the threshold of the head'

    def to_dict(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return the result for JSON."""
        names = [class_name(classes, label) for label in self.labels]
        return {'classes': names, 'labels': self.labels, 'scores': self.scores}


def to_result(
    predictor: Predictor, sample: Any
) -> Detections | SegmentationMap | Labels | Classification:
    """Return a toolbox's data sample in the form of exported networks."""
    if 'pred_instances' in sample:
        found = sample.pred_instances.numpy()
        masks = found.get('masks')
        return Detections(found.bboxes, found.scores, found.labels, masks)
    if 'pred_sem_seg' in sample:
        labels = sample.pred_sem_seg.data[0]  # of floats where a sigmoid decides
        return SegmentationMap(labels.long().numpy())
    scores = sample.pred_score.numpy()
    if hasattr(predictor.model.head, 'thr'):  # mmpretrain's MultiLabelClsHead
        labels = sample.pred_label.tolist()
        return Labels(labels, [float(scores[label]) for label in labels])
    return Classification(scores)


def run(args: argparse.Namespace) -> None:
    """Predict as the command line says."""
    if not 0 <= args.score_thr <= 1:
        raise UserError(f'--score-thr {args.score_thr:g}: scores go from 0 to 1')
    video = Video(args.image, args.out) if is_video(args.image) else None
    images = [] if video else find_images(args.image)
    outputs = output_paths(args.image, images, args.out) if args.out and images else []
    if args.json:  # a folder that is missing or full is no news for the end
        Path(args.json).open('a').close()
    cfg = load_config(args.config, args.cfg_options)
    predictor = Predictor(cfg, args.checkpoint, args.device)
    if args.label_maps and predictor.scope != 'mmseg':
        raise UserError('--label-maps goes with segmentation')
    classes, found = list(predictor.classes or ()), {}
    inputs = video.frames() if video else ((p, predictor.read(p)) for p in images)
    drawings = iter(outputs)
    if args.label_maps:
        folder = os.path.join(args.label_maps, '')
        numbered = (f'{folder}{i:06}.png' for i in itertools.count())
        named = [] if video else output_paths(args.image, images, folder)
        if {*map(os.path.abspath, named)} & {*map(os.path.abspath, outputs)}:
            raise UserError(f'--out and --label-maps both name {named[0]}')
        maps = numbered if video else iter(named)
    try:
        while batch := list(itertools.islice(inputs, args.batch_size)):
            samples = predictor.predict_batch([frame for _, frame in batch])
            for (name, frame), sample in zip(batch, samples):
                result = to_result(predictor, sample)
                line = f'{name}: {result.summary(classes, args.score_thr)}'
                if args.json:
                    found[name] = result.to_dict(classes)
                if args.label_maps:
                    mmcv.imwrite(result.to_gray(classes), next(maps))
                if args.out:
                    image = frame if video else name
                    drawn = predictor.draw(image, sample, args.score_thr)[..., ::-1]
                    out = args.out if video else next(drawings)
                    video.write(drawn) if video else mmcv.imwrite(drawn, out)
                    line += f' -> {out}'
                print(line)
    finally:
        if video:
            video.close()
        if found:
            text = json.dumps(found, ensure_ascii=False)
            Path(args.json).write_text(text, encoding='utf-8')


if __name__ == '__main__':
    cli_main(lambda: run(parse_args()))
