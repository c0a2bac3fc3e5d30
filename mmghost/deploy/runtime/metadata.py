"""What an exported file says about itself: task, classes and preprocessing."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

KEY = 'mmghost'  # of the entry in a file that can hold metadata
TASKS = ('classification', 'detection', 'instance segmentation', 'segmentation')


class FileError(Exception):
    """A file, an image or a runtime cannot be used."""


@dataclass(frozen=True)
class ModelMetadata:
    """The metadata of an exported file: JSON inside, or beside it in ``FILE.json``.

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
        batch: Number of images, if the file takes one only.
        least_side: Smallest height and width in px, after all steps, at which the file is
            right; the runner refuses smaller images.
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
    mask_threshold: float = 0.5
    palette: list[list[int]] | None = None
    precision: str = 'float32'
    origin: dict[str, Any] = field(default_factory=dict)
    outputs: list[str] | None = None
    decoding: dict[str, Any] | None = None

    def to_json(self) -> str:
        """Return the metadata as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, path: str) -> 'ModelMetadata':
        """Read what :meth:`to_json` returned; entries of a newer mmghost are ignored.

        Raises:
            FileError: If it is damaged, or something else.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise FileError(f'{path}: its metadata is damaged: {error}') from error
        if not isinstance(values, dict) or values.get('task') not in TASKS:
            raise FileError(
                f'{path}: it has no metadata of mmghost 2: only files exported by tools/deployment/'
                'export.py say how an image is prepared for them, inside or in a file '
                'beside them that ends in .json'
            )
        known = {entry.name for entry in fields(cls)}
        return cls(**{name: values[name] for name in known & values.keys()})
