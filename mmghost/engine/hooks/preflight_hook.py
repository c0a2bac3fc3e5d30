"""The preflight check and foreign weights, also under the toolboxes' own tools."""

from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import BaseLoop, Runner

from ...checks import preflight, raise_if_fatal
from ...errors import UserError
from ...registry import HOOKS, register
from ...weights import adapt_checkpoint
from ..checkpoints import check_fit, set_aside


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
        strict: Whether a checkpoint to test or to resume must have every tensor.
        keep_earlier: Whether a training that begins anew moves the checkpoints in its
            folder aside instead of overwriting them, as tools/train.py does.
    """

    priority = 'VERY_HIGH'

    def __init__(
        self,
        data: bool = True,
        picture_seconds: float = 30.0,
        strict: bool = True,
        keep_earlier: bool = False,
    ) -> None:
        self.data = data
        self.picture_seconds = picture_seconds
        self.strict = strict
        self.keep_earlier = keep_earlier
        self.checked = False  # tools/train.py and test.py check before they build

    def before_run(self, runner: Runner) -> None:
        """Check the config, and the data of the loops that are about to run.

        Raises:
            UserError: If something must be fixed first.
        """
        if self.checked or not is_main_process():
            return
        loaders = [
            name
            for name in ('train', 'val', 'test')
            if isinstance(getattr(runner, f'_{name}_loop'), BaseLoop)
        ]
        note = runner.logger.info
        problems = preflight(
            runner.cfg, loaders, self.picture_seconds, note, data=self.data
        )
        raise_if_fatal(problems, runner.logger.warning)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Rename foreign weights, and check that a checkpoint belongs to the model.

        Raises:
            UserError: If it does not, or if it cannot be resumed from.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if isinstance(model, BaseTTAModel):
            model = model.module
        name = str(runner._load_from)
        training = isinstance(runner._train_loop, BaseLoop)
        missing = [key for key in ('meta', 'message_hub') if key not in checkpoint]
        if training and runner._resume and missing:
            raise UserError(
                f'checkpoint {name} holds weights, but no state of a training (no '
                f'{", ".join(missing)}): start a new one from it with --cfg-options '
                f'load_from={name}'
            )
        adapt_checkpoint(model, checkpoint, name)
        strict = self.strict and (runner._resume or not training)
        check_fit(model, checkpoint, name, strict)

    def before_train(self, runner: Runner) -> None:
        """Move the checkpoints of an earlier training aside where that is wanted."""
        if self.keep_earlier and not runner._resume and is_main_process():
            folder = set_aside(runner.work_dir)
            if folder is not None:
                runner.logger.info(
                    f'{runner.work_dir} had checkpoints of an earlier training: they '
                    f'are in {folder} now (--resume would have gone on from them)'
                )
