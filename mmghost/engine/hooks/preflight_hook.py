"""The preflight check and foreign weights, also under the toolboxes' own tools."""

import shlex
from typing import Any

from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import BaseLoop, Runner

from ...checks import preflight, raise_if_fatal
from ...errors import UserError
from ...registry import HOOKS, register
from ...weights import adapt_checkpoint
from ..checkpoints import changes_at_resume, check_fit, set_aside


@register(HOOKS)
class PreflightHook(Hook):
    """Stop before the first iteration where the data or a checkpoint do not fit.

    A checkpoint of the release, timm or MindSpore is renamed for the model first. The
    runtime bases of all configs have this hook: mmengine itself reads a checkpoint of
    another width with a warning and goes on from random weights, and OpenCV reads a
    truncated image as a gray one.

    Args:
        data: Whether to look at the data; otherwise only the config is checked.
        picture_seconds: Time for opening images; all are looked up by name anyway.
    """

    priority = 'VERY_HIGH'

    def __init__(self, data: bool = True, picture_seconds: float = 30.0) -> None:
        self.data = data
        self.picture_seconds = picture_seconds
        self._checked: set[str] = set()

    def before_run(self, runner: Runner) -> None:
        """Check the config, and the data of the loops that are about to run.

        Raises:
            UserError: If something must be fixed first.
        """
        loops = {n: getattr(runner, f'_{n}_loop') for n in ('train', 'val', 'test')}
        self.check(
            runner, [n for n, loop in loops.items() if isinstance(loop, BaseLoop)]
        )

    def check(self, runner: Runner, loaders: list[str]) -> None:
        """Check the config and the data of loaders, each once, in the first process.

        mmghost's tools call this before any data are loaded.
        """
        loaders = [name for name in loaders if name not in self._checked]
        if loaders and is_main_process():
            self._checked.update(loaders)
            note, seconds = runner.logger.info, self.picture_seconds
            problems = preflight(runner.cfg, loaders, seconds, note, data=self.data)
            raise_if_fatal(problems, runner.logger.warning)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Rename foreign weights, and check that a checkpoint belongs to the model.

        Raises:
            UserError: If it does not, or if it cannot be resumed from.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if isinstance(model, BaseTTAModel):
            model = model.module
        name = checkpoint.get('mmghost_source', str(runner._load_from))
        training = isinstance(runner._train_loop, BaseLoop)
        if training and runner._resume:
            missing = [key for key in ('meta', 'message_hub') if key not in checkpoint]
            if missing:
                raise UserError(
                    f'checkpoint {name} holds weights, but no state of a training (no '
                    f'{", ".join(missing)}): start a new one from it with --cfg-options '
                    f'load_from={shlex.quote(name)}'
                )
            saved, now = checkpoint['meta'].get('cfg', ''), runner.cfg.pretty_text
            if changes := changes_at_resume(saved, now, name):
                runner.logger.warning(changes)
        adapt_checkpoint(model, checkpoint, name)
        check_fit(model, checkpoint, name, strict=runner._resume or not training)

    def before_train(self, runner: Runner) -> None:
        """Move the checkpoints of an earlier training aside, unless it goes on."""
        barrier()  # the others may still have to load what is moved here
        starts = not runner._resume and is_main_process()
        if starts and (folder := set_aside(runner.work_dir)):
            runner.logger.info(
                f'{runner.work_dir} had checkpoints of an earlier training: they are in '
                f'{folder} now (--resume would have gone on from them)'
            )
