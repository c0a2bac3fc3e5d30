r"""Run an exported file on pictures. Needs onnxruntime or openvino, NumPy and Pillow only.

Examples:
    python tools/deployment/run_onnx.py retinanet.onnx picture.jpg --out seen.png
    python tools/deployment/run_onnx.py retinanet.onnx folder --json found.json
    python tools/deployment/run_onnx.py deeplabv3.onnx folder --label-maps maps
    python tools/deployment/run_onnx.py retinanet.onnx picture.jpg --backend openvino
    python tools/deployment/run_onnx.py retinanet.onnx --facts      # what the file says
"""

import argparse
import importlib.util
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')


def load_runtime() -> ModuleType:
    """Load mmghost's runtime by its path: importing mmghost would need torch."""
    here = Path(__file__).resolve()
    # tools/ stands beside mmghost/ in a clone, and in mmghost/.mim/ when installed.
    # On a device there may be this file alone, with a copy of the runtime beside it.
    folders = (
        here.parents[2] / 'mmghost' / 'deploy' / 'runtime',
        here.parents[3] / 'deploy' / 'runtime',
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
    parser.add_argument('file', help='the ONNX file that export_onnx.py wrote')
    parser.add_argument('image', nargs='?', help='a picture, or a folder of pictures')
    parser.add_argument(
        '--out', help='the picture to draw the result on; a folder for a folder'
    )
    parser.add_argument('--json', help='the file to write all results into')
    parser.add_argument(
        '--label-maps',
        help='segmentation: the folder for label maps (.png, in grey; of 16 bits for more '
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
        choices=['onnxruntime', 'openvino'],
        help='what computes; default: the first of these that is installed',
    )
    parser.add_argument('--threads', type=int, help="default: the backend's choice")
    parser.add_argument(
        '--facts', action='store_true', help="print the file's metadata and stop"
    )
    args = parser.parse_args()
    if not args.facts and args.image is None:
        parser.error('name a picture or a folder')
    return args


def pictures_of(path: Path) -> list[Path]:
    """List a picture, or those below a folder."""
    if not path.is_dir():
        return [path]
    found = sorted(
        p
        for p in path.rglob('*')
        if p.suffix.lower() in SUFFIXES and not p.name.startswith('.')
    )
    if not found:
        sys.exit(f'error: {path} holds no pictures ({", ".join(SUFFIXES)})')
    return found


def results_in(folder: str, pictures: list[Path], source: Path) -> list[Path]:
    """Where the results of pictures go below a folder: to their names, as .png."""
    start = source if source.is_dir() else source.parent
    names = [picture.relative_to(start) for picture in pictures]
    # Two pictures may differ in their suffix only.
    stems = [name.with_suffix('') for name in names]
    return [
        Path(folder)
        / (name.with_suffix('.png') if stems.count(stem) == 1 else f'{name}.png')
        for name, stem in zip(names, stems)
    ]


def drawings_at(out: str, pictures: list[Path], source: Path) -> list[Path]:
    """Where the drawings of pictures go: into one file, or a folder."""
    is_picture = Path(out).suffix.lower() in SUFFIXES
    if Path(out).is_dir() or out.endswith('/'):
        return results_in(out, pictures, source)
    if source.is_dir():
        if is_picture or Path(out).is_file():
            sys.exit(f'error: --out {out}: name a folder for those of {source}')
        return results_in(out, pictures, source)
    if Path(out).suffix and not is_picture:
        sys.exit(f'error: --out {out}: pictures end in {", ".join(SUFFIXES)}')
    return [Path(out if is_picture else f'{out}.png')]


def check_arguments(args: argparse.Namespace, task: str) -> None:
    """Refuse what the file has no use for, or what cannot be meant."""
    if args.label_maps and task != 'segmentation':
        sys.exit(
            f'error: --label-maps goes with segmentation; {args.file} is for {task}: '
            '--out draws what it finds, --json keeps it'
        )
    if not 0 <= args.score_thr <= 1:
        sys.exit(f'error: --score-thr {args.score_thr:g}: scores go from 0 to 1')


def run(args: argparse.Namespace, runtime: ModuleType) -> None:
    """Run as the command line says."""
    if args.facts:
        facts = runtime.Facts.of_file(args.file)
        print(json.dumps(asdict(facts), indent=2, ensure_ascii=False))
        return
    from mmghost_runtime.drawing import draw
    from mmghost_runtime.pictures import read_picture
    from mmghost_runtime.results import grey
    from PIL import Image

    runner = runtime.Runner(args.file, args.backend, args.threads)
    check_arguments(args, runner.facts.task)
    classes, source, found = runner.facts.classes, Path(args.image), {}
    pictures = pictures_of(source)
    maps = results_in(args.label_maps or '', pictures, source)
    drawings = drawings_at(args.out or '', pictures, source) if args.out else maps
    for path, label_map, drawing in zip(pictures, maps, drawings):
        picture = read_picture(path, runner.facts.orientation)
        start = time.perf_counter()
        result = runner.predict(picture)
        seconds = time.perf_counter() - start
        words = (
            f'{path}: {result.words(classes, args.score_thr)}, {1000 * seconds:.0f} ms'
        )
        if args.json:
            found[str(path)] = result.as_dict(classes)
        if args.label_maps:
            label_map.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(grey(result, classes)).save(label_map)
        if args.out:
            drawing.parent.mkdir(parents=True, exist_ok=True)
            draw(picture, result, runner.facts, args.score_thr).save(drawing)
            words += f' -> {drawing}'
        print(words)
    if args.json:
        Path(args.json).write_text(json.dumps(found, ensure_ascii=False))


def main() -> None:
    """Run, and end with one message where the person must know something."""
    args = parse_args()
    runtime = load_runtime()
    try:
        run(args, runtime)
    except (runtime.FileFault, OSError) as fault:
        sys.exit(f'error: {fault}')


if __name__ == '__main__':
    main()
