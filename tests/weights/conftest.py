"""Networks, the log and a web server."""

import functools
import socket
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from mmghost.models import GhostNetClassifier
from mmghost.weights import adapting, loading

WIDTH = 0.25  # for all that does not depend on the width


def filled(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Fill weights and running statistics with random numbers."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.normal_(0, 0.1, generator=generator)
            if name.endswith('running_var'):
                value.add_(1)
    return model


@functools.cache
def timm_network(name: str) -> torch.nn.Module:
    """Return timm's network with random weights and statistics."""
    return filled(pytest.importorskip('timm').create_model(name)).eval()


@functools.cache
def small_state(cls: type = GhostNetClassifier, **kwargs) -> dict[str, torch.Tensor]:
    """Return the weights of a small network, random ones."""
    return dict(filled(cls(WIDTH, **kwargs)).state_dict())


@pytest.fixture()
def torch_home(tmp_path, monkeypatch):
    """Set torch's cache to a folder of the test, without a proxy."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setenv('no_proxy', '*')
    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    return tmp_path / 'torch' / 'hub' / 'checkpoints'


@pytest.fixture()
def log(monkeypatch):
    """Return the list that the lines of the log go to."""
    lines = []
    for module in (loading, adapting):
        monkeypatch.setattr(
            module, 'print_log', lambda line, *_, **__: lines.append(line)
        )
    return lines


class Server:
    """A web server on this machine; it imitates the Hub where a test asks for that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        owner = self

        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *args) -> None:
                super().__init__(*args, directory=str(folder))

            def do_GET(self) -> None:
                owner.requests.append(self.path)
                super().do_GET()

            def end_headers(self) -> None:
                if '/resolve/' in self.path:
                    self.send_header('X-Repo-Commit', 'f' * 40)
                    self.send_header('ETag', '"1"')
                super().end_headers()

            def log_message(self, *args) -> None:
                pass

        self._server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.address = f'http://127.0.0.1:{self._server.server_port}'
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=(0.01,), daemon=True).start()

    def serve(self, name: str, content: bytes) -> str:
        """Serve a file, and return its URL."""
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(content)
        return f'{self.address}/{name}'

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def closed_address() -> str:
    """Return an address where nobody listens."""
    with socket.socket() as unused:
        unused.bind(('127.0.0.1', 0))
        return f'http://127.0.0.1:{unused.getsockname()[1]}'


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    """Return a :class:`Server`."""
    server = Server(tmp_path_factory.mktemp('server'))
    yield server
    server.close()
