"""A copy of the clone in which the blocks of a page are run as a reader would run them."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import mmghost  # noqa: F401 - before any toolbox: mmcv's operators
from tests.docs.pages import ROOT, Block, tracked

SECONDS = 900  # more than any block takes on one slow core


class Clone:
    """The repository's files in a folder of its own, and what is run there.

    Args:
        folder: Where it is made.
        cache: Stands for the reader's ``~/.cache/torch``.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        for name in tracked():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
        (folder / '.venv').symlink_to(sys.prefix)
        # What the words of a page in capitals stand for, and files that it takes as given.
        self.words: dict[str, str] = {}
        self.env = {
            **os.environ,
            'PATH': f'{sys.prefix}/bin{os.pathsep}{os.environ["PATH"]}',
            'PYTHONPATH': str(folder),
            'TORCH_HOME': str(cache),
        }
        self.names: dict = {'__name__': 'page'}

    def run(self, script: str) -> str:
        """Run a script of bash and return what it printed.

        Raises:
            AssertionError: If it ends with another status than 0.
        """
        for word, meant in self.words.items():
            script = re.sub(rf'(?<![\w/]){word}(?![\w])', meant, script)
        done = subprocess.run(
            ['bash', '-euo', 'pipefail', '-c', script],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f'status {done.returncode}:\n{done.stdout[-4000:]}'
        return done.stdout

    def follow(self, block: Block) -> None:
        """Do what a page's block says.

        Raises:
            Exception: Whatever goes wrong.
        """
        if 'saved as' in block.marks:
            path = self.folder / block.marks['saved as']
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding='utf-8')
            if path.is_relative_to(self.folder / 'configs'):
                self.build(path)
        elif 'config on' in block.marks:
            path = self.folder / 'configs' / f'block_{block.line}.py'
            mark, text = block.marks['config on'], block.text
            shown = f'_base_ = {mark!r}\n'  # which not every stack can resolve
            assert shown in text or '_base_' not in text, f'{block}: not upon {mark}'
            base = f'_base_ = {str(base_path(mark))!r}\n'
            path.write_text(base + text.replace(shown, ''), encoding='utf-8')
            self.build(path)
        elif block.language == 'bash':
            self.run(block.text)
        elif block.language == 'console':
            self.converse(block.text)
        elif block.language == 'python':
            self.execute(block)

    def converse(self, text: str) -> None:
        """Run each line after ``$``; what it prints contains the lines below it."""
        for part in re.split(r'^\$ ', text, flags=re.M)[1:]:
            command, *wanted = part.splitlines()
            printed = ' '.join(self.run(command).split())
            for line in wanted:
                if line.strip() not in ('', '...'):
                    assert ' '.join(line.split()) in printed, (
                        f'{line!r} not in {printed}'
                    )

    def execute(self, block: Block) -> None:
        """Run Python, with the names of the page's earlier blocks.

        A dict called ``backbone`` is built, loaded and shown a picture.
        """
        exec(compile(block.text, str(block), 'exec'), self.names)
        backbone = self.names.pop('backbone', None)
        if isinstance(backbone, dict):
            model = MODELS.build(backbone)
            model.init_weights()
            assert model(torch.rand(2, 3, 64, 64))

    def build(self, path: Path) -> None:
        """Build a config's model and let a picture through backbone, neck and head."""
        cfg = Config.fromfile(path)
        init_default_scope(cfg.default_scope)
        cfg.model.backbone.pop('init_cfg', None)  # tested with the weights
        model = MODELS.build(cfg.model)
        kind = cfg.model.backbone.type
        assert type(model.backbone).__name__ == kind.rpartition('.')[2]
        model.eval()
        x = torch.rand(2, 3, 128, 128)
        with torch.no_grad():
            if hasattr(model, 'rpn_head'):  # what follows needs proposals
                assert model.rpn_head(model.extract_feat(x))
            else:
                assert model(x, mode='tensor') is not None


def base_path(name: str) -> Path:
    """Find a config: a path in the clone, or ``mmdet::path`` of an installed toolbox."""
    toolbox, colons, path = name.partition('::')
    if not colons:
        return ROOT / name
    (folder,) = importlib.util.find_spec(toolbox).submodule_search_locations
    return Path(folder) / '.mim' / 'configs' / path
