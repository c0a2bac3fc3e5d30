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


def legacy(content: bytes) -> bytes:
    """Return a file as torch wrote them before 1.6."""
    system = dict(protocol_version=1001, little_endian=True, type_sizes={})
    head = [torch.serialization.MAGIC_NUMBER, 1001, system]
    parts = [pickle.dumps(part, 2) for part in head]
    return b''.join([*parts, content, pickle.dumps([], 2)])


def archive(content: bytes) -> bytes:
    """Return a file as torch writes them now, with another pickle in it."""
    stream, written = io.BytesIO(), io.BytesIO()
    torch.save({}, stream)
    with zipfile.ZipFile(stream) as source, zipfile.ZipFile(written, 'w') as target:
        for name in source.namelist():
            is_pickle = name.endswith('data.pkl')
            target.writestr(name, content if is_pickle else source.read(name))
    return written.getvalue()


ATTACKS = {
    'a pickle': pickle.dumps(RunsCode()),
    'an archive': archive(pickle.dumps(RunsCode(), 2)),
    'the format of before 2020': legacy(pickle.dumps(RunsCode(), 2)),
    'getattr': archive(by_attributes()),
    'getattr in the format of before 2020': legacy(by_attributes()),
}
