r"""Run an exported file on images, with its runtime, NumPy and OpenCV alone (.pte: torch).

Examples:
    python tools/deployment/run_model.py retinanet.onnx image.jpg --out seen.png
    python tools/deployment/run_model.py retinanet.onnx folder --json found.json
    python tools/deployment/run_model.py deeplabv3.onnx folder --label-maps maps
    python tools/deployment/run_model.py retinanet.onnx image.jpg --backend openvino
    python tools/deployment/run_model.py exported/model.tflite image.jpg --out seen.png
    python tools/deployment/run_model.py retinanet.onnx --facts      # what the file says
"""

import argparse
import importlib.util
import json
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')


def load_runtime() -> ModuleType:
    """Load mmghost's runtime by its path: importing mmghost would need torch."""
    here = Path(__file__).resolve()
    # tools/ stands beside mmghost/ in a clone, and in mmghost/.mim/ when installed.
    # On a device there may be this file alone, with a copy of the runtime beside it.
    folders = (
        here.parent / '../../mmghost/deploy/runtime',
        here.parent / '../../../deploy/runtime',
        here.parent / 'runtime',
    )
    folder = next((path for path in folders if (path / '__init__.py').exists()), None)
    if folder is None:
        sys.exit('error: mmghost/deploy/runtime is missing; copy it beside this file')
    spec = importlib.util.spec_from_file_location(
        'mmghost_runtime',
        folder / '__init__.py',
        submodule_search_locations=[str(folder)],
    )
    runtime = importlib.util.module_from_spec(spec)
    sys.modules['mmghost_runtime'] = runtime
    spec.loader.exec_module(runtime)
    return runtime


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'file', help='an exported file: .onnx, .xml, .param, .tflite, .pte'
    )
    parser.add_argument('image', nargs='?', help='an image, or a folder of images')
    parser.add_argument(
        '--out', help='the image to draw the result on; a folder for a folder'
    )
    parser.add_argument('--json', help='the file to write all results into')
    parser.add_argument(
        '--label-maps',
        help='segmentation: the folder for label maps (.png, gray; of 16 bits for more '
        'than 256 classes)',
    )
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.3,
        help='detection: draw and count objects of at least this score; --json gets all',
    )
    parser.add_argument(
        '--backend',
        choices=['onnxruntime', 'openvino', 'ncnn', 'litert', 'executorch'],
        help='the runtime; default: the first installed one for such files',
    )
    parser.add_argument('--threads', type=int, help="default: the backend's choice")
    parser.add_argument(
        '--bf16', action='store_true', help='with openvino: compute in bfloat16'
    )
    parser.add_argument(
        '--facts', action='store_true', help="print the file's metadata and stop"
    )
    args = parser.parse_args()
    if not args.facts and args.image is None:
        parser.error('name an image or a folder')
    return args


def find_images(path: Path) -> list[Path]:
    """Return an image, or those below a folder."""
    if not path.is_dir():
        return [path]
    found = sorted(
        p
        for p in path.rglob('*')
        if p.suffix.lower() in SUFFIXES and not p.name.startswith('.')
    )
    if not found:
        sys.exit(f'error: {path} holds no images ({", ".join(SUFFIXES)})')
    return found


def result_paths(folder: str, images: list[Path], source: Path) -> list[Path]:
    """Return where the results of images go: to their names, as .png."""
    start = source if source.is_dir() else source.parent
    names = [image.relative_to(start) for image in images]
    # Two images may differ in their suffix only.
    stems = [name.with_suffix('') for name in names]
    times = Counter(stems)
    return [
        Path(folder) / (name.with_suffix('.png') if times[stem] == 1 else f'{name}.png')
        for name, stem in zip(names, stems)
    ]


def drawing_paths(out: str, images: list[Path], source: Path) -> list[Path]:
    """Return where the drawings go: into one file, or a folder."""
    is_image = Path(out).suffix.lower() in SUFFIXES
    if Path(out).is_dir() or out.endswith('/'):
        return result_paths(out, images, source)
    if source.is_dir():
        if is_image or Path(out).is_file():
            sys.exit(f'error: --out {out}: name a folder for those of {source}')
        return result_paths(out, images, source)
    if Path(out).suffix and not is_image:
        sys.exit(f'error: --out {out}: images end in {", ".join(SUFFIXES)}')
    return [Path(out if is_image else f'{out}.png')]


def check_arguments(args: argparse.Namespace, task: str) -> None:
    """Check flags that depend on the task of the file."""
    if args.label_maps and task != 'segmentation':
        sys.exit(
            f'error: --label-maps goes with segmentation; {args.file} is for {task}: '
            '--out draws what it finds, --json keeps it'
        )
    if not 0 <= args.score_thr <= 1:
        sys.exit(f'error: --score-thr {args.score_thr:g}: scores go from 0 to 1')


def write(path: Path, pixels: Any) -> None:
    """Write an image, and make its folder."""
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), pixels):
        sys.exit(f'error: {path} cannot be written')


def run(args: argparse.Namespace, runtime: ModuleType) -> None:
    """Run as the command line says."""
    runner = runtime.Runner(args.file, args.backend, args.threads, args.bf16)
    if args.facts:
        print(json.dumps(asdict(runner.metadata), indent=2, ensure_ascii=False))
        return
    from mmghost_runtime.drawing import draw
    from mmghost_runtime.images import read_image

    check_arguments(args, runner.metadata.task)
    classes, source, found = runner.metadata.classes, Path(args.image), {}
    images = find_images(source)
    maps = result_paths(args.label_maps or '', images, source)
    drawings = drawing_paths(args.out or '', images, source) if args.out else maps
    written = maps * bool(args.label_maps) + drawings * bool(args.out)
    if lost := {p.resolve() for p in written} & {p.resolve() for p in images}:
        sys.exit(f'error: {min(lost)} would be overwritten: name another folder')
    if len({*written}) < len(written):
        sys.exit(f'error: --out and --label-maps both name {written[0]}')
    if args.json:
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
    try:
        for path, label_map, drawing in zip(images, maps, drawings):
            image = read_image(path, runner.metadata.orientation)
            start = time.perf_counter()
            result = runner.predict(image)
            seconds = time.perf_counter() - start
            summary = result.summary(classes, args.score_thr)
            line = f'{path}: {summary}, {1000 * seconds:.0f} ms'
            if args.json:
                found[str(path)] = result.to_dict(classes)
            if args.label_maps:
                write(label_map, result.to_gray(classes))
            if args.out:
                drawn = draw(image, result, runner.metadata, args.score_thr)
                write(drawing, drawn[..., ::-1])
                line += f' -> {drawing}'
            print(line)
    finally:  # a damaged image does not cost those before it
        if found:
            text = json.dumps(found, ensure_ascii=False)
            Path(args.json).write_text(text, encoding='utf-8')


def main() -> None:
    """Run, and print errors that the user can fix in one line."""
    args = parse_args()
    runtime = load_runtime()
    try:
        run(args, runtime)
    except (runtime.FileError, OSError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
