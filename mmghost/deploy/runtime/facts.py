"""What an exported file says about itself: its task, classes and pre-processing."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any

PREFIX = 'mmghost.'
TASKS = ('classification', 'detection', 'instance segmentation', 'segmentation')

# Numbers of fields in ONNX's ModelProto and StringStringEntryProto (onnx.proto).
_METADATA_PROPS, _KEY, _VALUE = 14, 1, 2


class FileFault(Exception):
    """Something about a file that the person at the terminal must know."""


@dataclass(frozen=True)
class Facts:
    """The facts in a file's metadata, each an entry ``mmghost.NAME`` in JSON.

    Args:
        task: One of ``TASKS``.
        classes: Names of the classes, by label.
        orientation: Whether a picture is turned as its EXIF data say when it is read.
        steps: What happens to a picture before the network, see :mod:`.pictures`.
        channels: ``'RGB'`` or ``'BGR'``: the order that mean, std and the network take.
        mean: Subtracted from the channels, whose values are 0 to 255.
        std: The channels are divided by it.
        pad_divisor: Height and width are filled up to a multiple of this, on the right
            and at the bottom.
        pad_value: What they are filled up with, after mean and std.
        size: Height and width of the input where the file takes only one size.
        batch: How many pictures the file takes at once where it takes only so many.
        least_side: Pictures smaller than this, in px after all steps, would be computed
            wrongly without a word; the runner refuses them.
        raw: Whether the outputs are the head's own, without decoding and suppression.
        mask_threshold: Instance segmentation: from which probability a pixel belongs
            to an object.
        palette: Colours of the classes.
        precision: ``'float32'`` or ``'int8'``.
        origin: Config, checkpoint, versions: for people.
    """

    task: str
    classes: list[str] = field(default_factory=list)
    orientation: bool = True
    steps: list[dict[str, Any]] = field(default_factory=list)
    channels: str = 'RGB'
    mean: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    std: list[float] = field(default_factory=lambda: [1.0, 1.0, 1.0])
    pad_divisor: int = 1
    pad_value: float = 0.0
    size: list[int] | None = None
    batch: int | None = None
    least_side: int = 1
    raw: bool = False
    mask_threshold: float = 0.5
    palette: list[list[int]] | None = None
    precision: str = 'float32'
    origin: dict[str, Any] = field(default_factory=dict)

    def to_properties(self) -> dict[str, str]:
        """The metadata entries."""
        return {
            PREFIX + name: json.dumps(value, ensure_ascii=False)
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_properties(cls, properties: dict[str, str]) -> 'Facts':
        """Read the metadata entries; those that are not mmghost's are passed over.

        Raises:
            FileFault: If there are none, or if they are damaged.
        """
        known = {entry.name for entry in fields(cls)}
        try:
            values = {
                name[len(PREFIX) :]: json.loads(text)
                for name, text in properties.items()
                if name.startswith(PREFIX) and name[len(PREFIX) :] in known
            }
        except ValueError as error:
            raise FileFault(f'its metadata are damaged: {error}') from None
        if values.get('task') not in TASKS:
            raise FileFault(
                'it has no metadata of mmghost: only files of '
                'tools/deployment/export_onnx.py say how a picture is prepared for them'
            )
        return cls(**values)

    @classmethod
    def of_file(cls, path: str | os.PathLike) -> 'Facts':
        """Read the facts of an ONNX file.

        Raises:
            FileFault: If it cannot be read, or holds none.
        """
        try:
            return cls.from_properties(read_properties(path))
        except FileFault as fault:
            words = str(fault)
            named_so = os.fspath(path).lower().endswith('.onnx')
            if os.path.isfile(path) and not named_so:
                words = 'this is no ONNX file; export_onnx.py writes one'
            raise FileFault(f'{path}: {words}') from None


def read_properties(path: str | os.PathLike) -> dict[str, str]:
    """Read the metadata of an ONNX file without the package onnx.

    Args:
        path: The file. What is not metadata is skipped, not read.

    Returns:
        ``metadata_props`` of the model.

    Raises:
        FileFault: If it is missing or not in protobuf's format.
    """
    try:
        with open(path, 'rb') as file:
            content = file.read()
    except OSError as error:
        raise FileFault(error.strerror or str(error)) from None
    properties = {}
    try:
        for number, value in _entries(content):
            if number == _METADATA_PROPS:
                pair = dict(_entries(value))
                key, value = (str(pair[n], 'utf-8') for n in (_KEY, _VALUE))
                properties[key] = value
    except (IndexError, KeyError, ValueError, TypeError) as error:
        raise FileFault(f'it is no whole ONNX file ({error})') from None
    return properties


def _entries(content: bytes | memoryview) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field of a protobuf message."""
    content = memoryview(content)
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(content, at)
        elif kind == 2:
            length, at = _varint(content, at)
            if at + length > len(content):
                raise ValueError('it ends too early')
            value, at = content[at : at + length], at + length  # a view, no copy
        elif kind in (1, 5):
            width = 8 if kind == 1 else 4
            value, at = content[at : at + width], at + width
        else:
            raise ValueError(f'a field of kind {kind} at byte {at}')
        yield number, value


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """Read one number of variable length; return it and where the next field starts."""
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError(f'a number without end at byte {at}')
