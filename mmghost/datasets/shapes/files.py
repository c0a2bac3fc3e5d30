"""Writing files whole or not at all."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """Write a file and the folders above it.

    An interruption leaves the old file or none. Nothing is written into an existing
    file, which may be a hard link to another.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        draft.write_bytes(content)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Write a text file."""
    write(path, ''.join(f'{line}\n' for line in lines).encode())


def write_json(path: Path, value: object, indent: int | None = None) -> None:
    """Write a JSON file, compact unless ``indent`` is given."""
    separators = (',', ':') if indent is None else None
    write(path, json.dumps(value, indent=indent, separators=separators).encode())


def share(source: Path, target: Path) -> None:
    """Put a file at a second place: a hard link, or a copy where there is none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def remove(root: Path, names: set[str]) -> None:
    """Remove files below ``root`` and the folders that are empty then."""
    folders = set()
    for name in names:
        (root / name).unlink(missing_ok=True)
        folders.update(Path(name).parents)
    for folder in sorted(folders - {Path('.')}, reverse=True):
        try:
            (root / folder).rmdir()
        except OSError:  # not empty, a link, or not there
            continue
