"""Weight files of every origin, written once by those who write them."""

import functools
import runpy
import socket
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from mmghost.models import GhostNetClassifier
from mmghost.weights import adapting, loading
from tests.helpers import randomise

WIDTHS = {
    'ghostnetv2_100': (2, 1.0),
    'ghostnetv2_130': (2, 1.3),
    'ghostnetv2_160': (2, 1.6),
    'ghostnet_050': (1, 0.5),
    'ghostnet_100': (1, 1.0),
    'ghostnet_130': (1, 1.3),
}


@functools.cache
def timm_network(name: str) -> torch.nn.Module:
    """Return timm's network with random weights that matter."""
    timm = pytest.importorskip('timm')
    return randomise(timm.create_model(name)).eval()


def classifier(name: str, **kwargs) -> GhostNetClassifier:
    """Return ours of the same version and width, with other weights."""
    version, width = WIDTHS[name]
    if version == 1:
        kwargs.setdefault('dfc', None)
    return GhostNetClassifier(width, **kwargs).eval()


@pytest.fixture(scope='session')
def release(tmp_path_factory):
    """Return the path of a file like the authors': thop's counters, .pth.tar."""
    path = tmp_path_factory.mktemp('release') / 'ck_ghostnetv2_10.pth.tar'
    state = dict(timm_network('ghostnetv2_100').state_dict())
    for name in ('', 'blocks.0.0.', 'blocks.0.0.ghost1.', 'blocks.3.0.ghost1.gate_fn.'):
        state[f'{name}total_ops'] = torch.zeros(1, dtype=torch.float64)
        state[f'{name}total_params'] = torch.zeros(1, dtype=torch.float64)
    torch.save(state, path)
    return path


@pytest.fixture()
def torch_home(tmp_path, monkeypatch):
    """Have torch's cache in a folder of the test, and no proxy before this machine."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setenv('no_proxy', '*')
    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    return tmp_path / 'torch' / 'hub' / 'checkpoints'


@pytest.fixture()
def log(monkeypatch):
    """Return the list that the lines of the loader's log go to."""
    lines = []
    for module in (loading, adapting):
        monkeypatch.setattr(
            module, 'print_log', lambda line, *_, **__: lines.append(line)
        )
    return lines


class Server:
    """A web server on this machine with the files that a test gives it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cut: set[str] = set()  # files of which half is sent
        self.requests: list[str] = []
        owner = self

        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *args) -> None:
                super().__init__(*args, directory=str(folder))

            def do_GET(self) -> None:
                owner.requests.append(self.path)
                name = self.path.lstrip('/')
                if name not in owner.cut:
                    return super().do_GET()
                content = (folder / name).read_bytes()
                self.send_response(200)
                self.send_header('Content-Length', str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])

            def log_message(self, *args) -> None:
                pass

        self._server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, name: str) -> str:
        return f'http://127.0.0.1:{self._server.server_port}/{name}'

    def serve(self, name: str, content: bytes, cut: bool = False) -> str:
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_bytes(content)
        (self.cut.add if cut else self.cut.discard)(name)
        return self.url(name)

    def closed_url(self, name: str) -> str:
        """Return a URL at a port where nobody listens."""
        with socket.socket() as unused:
            unused.bind(('127.0.0.1', 0))
            return f'http://127.0.0.1:{unused.getsockname()[1]}/{name}'

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    """Return a :class:`Server`."""
    server = Server(tmp_path_factory.mktemp('server'))
    yield server
    server.close()


@pytest.fixture()
def door(root, monkeypatch):
    """Return a function that runs one of the doors with arguments, in this process."""

    def run(name: str, *args) -> None:
        path = str(root / 'tools' / 'model_converters' / name)
        monkeypatch.setattr(sys, 'argv', [path, *map(str, args)])
        runpy.run_path(path, run_name='__main__')

    return run
