"""What the pickles in a file of ``torch.save`` ask to import, told without reading them.

This is for the words of a refusal. It is no barrier: that is the reader, which imports
nothing by name (see :mod:`.pickles`).
"""

import _compat_pickle
import pickletools
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# In place of a name that cannot be told before it is looked up.
HIDDEN = 'a name that is put together while reading'

_STRINGS = ('SHORT_BINUNICODE', 'BINUNICODE', 'BINUNICODE8', 'UNICODE')
_MEMO_READ = ('GET', 'BINGET', 'LONG_BINGET')
_MEMO_WRITE = ('PUT', 'BINPUT', 'LONG_BINPUT')


def is_archive(path: Path) -> bool:
    """Whether torch takes a file for one of its present format, a zip.

    It goes by the first bytes alone; Python also finds an archive behind other data.
    """
    with path.open('rb') as file:
        return file.read(4) == b'PK\x03\x04'


def globals_in(path: Path) -> Iterator[str]:
    """Name what the pickles in a file ask to import, without unpickling them.

    Args:
        path: The file, in torch's present (zip) or earlier format.

    Yields:
        Names such as ``torch._utils._rebuild_tensor_v2``; in words, what hides a name.
    """
    if not is_archive(path):
        # The earlier format: number, protocol, system, content, storages; then raw data.
        with path.open('rb') as file:
            for _ in range(5):
                yield from _globals_of(file)
        return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        # Of two of one name, in capitals or not, torch may read another than Python.
        counts = Counter(entry.filename.lower() for entry in entries)
        for name, count in counts.items():
            if count > 1:
                yield f'{count} entries {name}'
        for entry in entries:
            if entry.filename.lower().endswith('.pkl'):
                yield from _globals_of(archive.read(entry))


def _globals_of(pickled: Any) -> Iterator[str]:
    memo: dict[int, str | None] = {}
    # What the last two steps pushed: strings, or None where that is not certain.
    before: str | None = None
    last: str | None = None
    for opcode, arg, _ in pickletools.genops(pickled):
        name = opcode.name
        if name == 'MEMOIZE':
            memo[len(memo)] = last
            continue
        if name in _MEMO_WRITE:
            memo[arg] = last
            continue
        if name in ('PROTO', 'FRAME'):
            continue
        if name in ('GLOBAL', 'INST'):
            yield present_name(*arg.split(' ', 1))
        elif name == 'STACK_GLOBAL':
            known = before is not None and last is not None
            yield present_name(before, last) if known else HIDDEN
        elif name in ('EXT1', 'EXT2', 'EXT4'):
            yield f'copyreg extension {arg}'
        pushed = arg if name in _STRINGS else None
        if name in _MEMO_READ:
            pushed = memo.get(arg)
        before, last = last, pushed


def present_name(module: str, name: str) -> str:
    """Python 3's name of a global; torch pickles with a protocol of Python 2."""
    if (module, name) in _compat_pickle.NAME_MAPPING:
        module, name = _compat_pickle.NAME_MAPPING[module, name]
    else:
        module = _compat_pickle.IMPORT_MAPPING.get(module, module)
    return f'{module}.{name}'
