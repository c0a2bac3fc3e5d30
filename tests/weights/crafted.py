"""Pickles made to run code when they are read: each would create a file."""

import io
import os
import pickle
import zipfile

import torch

TRACE = 'code_was_run'
CODE = f"open('{TRACE}', 'w')"


class RunsCode:
    def __reduce__(self):
        return os.system, (f'touch {TRACE}',)


def named(module: str, name: str) -> bytes:
    """Push a global by its name."""
    return pickle.GLOBAL + f'{module}\n{name}\n'.encode()


def text(value: str) -> bytes:
    """Push a string."""
    return pickle.BINUNICODE + len(value).to_bytes(4, 'little') + value.encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    """Push the result of a function."""
    return function + pickle.MARK + b''.join(arguments) + pickle.TUPLE + pickle.REDUCE


def by_attributes() -> bytes:
    """Reach `eval` through attributes of a class that trainings may hold."""
    read = named('__builtin__', 'getattr')
    init = call(read, named('argparse', 'Namespace'), text('__init__'))
    names = call(read, init, text('__globals__'))
    builtins = call(call(read, names, text('get')), text('__builtins__'))
    function = call(call(read, builtins, text('get')), text('eval'))
    return pickle.PROTO + b'\x02' + call(function, text(CODE)) + pickle.STOP


def archive(content: bytes) -> bytes:
    """Return a file as torch writes them now, with another pickle in it."""
    stream, written = io.BytesIO(), io.BytesIO()
    torch.save({}, stream)
    with zipfile.ZipFile(stream) as source, zipfile.ZipFile(written, 'w') as target:
        for name in source.namelist():
            is_pickle = name.endswith('data.pkl')
            target.writestr(name, content if is_pickle else source.read(name))
    return written.getvalue()


REFUSED = r'would run code|is cut short or damaged'  # by the version of torch
# The file, and what its refusal says.
ATTACKS = {
    'a pickle': (pickle.dumps(RunsCode()), REFUSED),
    'an archive': (archive(pickle.dumps(RunsCode(), 2)), r'run code \(posix\.system\)'),
    'getattr': (archive(by_attributes()), REFUSED),
}
