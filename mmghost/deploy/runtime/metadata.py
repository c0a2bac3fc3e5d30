"""What an exported file says about itself: task, classes and preprocessing."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

PREFIX = 'mmghost.'
TASKS = ('classification', 'detection', 'instance segmentation', 'segmentation')


class FileError(Exception):
    """A file, an image or a runtime cannot be used."""


@dataclass(frozen=True)
class ModelMetadata:
    """The metadata of an exported file, each an entry ``mmghost.NAME`` in JSON.

    Args:
        task: One of ``TASKS``.
        classes: Names of the classes, by label.
        orientation: Whether an image is turned by its EXIF tag when it is read.
        steps: What happens to an image before the network, see :mod:`.images`.
        channels: ``'RGB'`` or ``'BGR'``: the order of mean, std and the input.
        mean: Subtracted from the channels, whose values are 0 to 255.
        std: The channels are divided by it.
        pad_divisor: Height and width are padded to a multiple of it, on the right and
            at the bottom.
        pad_value: Value of the padding, after mean and std.
        size: Height and width of the input, if the file takes one size only.
        batch: Images per batch, if the file takes one number only.
        least_side: Smallest height and width in px, after all steps, at which the file is
            right; the runner refuses smaller images.
        raw: Whether the outputs are those of the head, without decoding and NMS.
        mask_threshold: Probability from which a pixel belongs to an object.
        palette: Colors of the classes, RGB.
        precision: ``'float32'`` or ``'int8'``.
        origin: Config, checkpoint and versions, to be read by people.
        outputs: Names of the outputs, if the file has none of its own.
        decoding: Settings of the postprocessing, if the runtime does it, see
            :mod:`.decoding`.
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
    outputs: list[str] | None = None
    decoding: dict[str, Any] | None = None

    def to_properties(self) -> dict[str, str]:
        """Return the metadata entries."""
        return {
            PREFIX + name: json.dumps(value, ensure_ascii=False)
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_properties(cls, properties: dict[str, str]) -> 'ModelMetadata':
        """Read the metadata entries; others are ignored.

        Raises:
            FileError: If there are none, or they are damaged.
        """
        try:
            values = {
                name.removeprefix(PREFIX): json.loads(value)
                for name, value in properties.items()
                if name.startswith(PREFIX)
            }
        except ValueError as error:
            raise FileError(f'its metadata are damaged: {error}') from error
        return cls._from_values(values)

    @classmethod
    def _from_values(cls, values: Any) -> 'ModelMetadata':
        if not isinstance(values, dict) or values.get('task') not in TASKS:
            raise FileError(
                'it has no metadata of mmghost: only files exported by tools/deployment/'
                'export.py say how an image is prepared for them, inside or in a file '
                'beside them that ends in .json'
            )
        known = {entry.name for entry in fields(cls)}  # a newer mmghost may have more
        return cls(**{name: values[name] for name in known & values.keys()})

    def save(self, path: str) -> None:
        """Write the metadata beside a file that cannot hold them."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        Path(f'{path}.json').write_text(text, encoding='utf-8')

    @classmethod
    def load(cls, path: str) -> 'ModelMetadata':
        """Read what :meth:`save` wrote for a file.

        Raises:
            FileError: If it is damaged.
        """
        try:
            values = json.loads(Path(f'{path}.json').read_text(encoding='utf-8'))
        except ValueError as error:
            raise FileError(f'its metadata are damaged: {error}') from error
        return cls._from_values(values)
