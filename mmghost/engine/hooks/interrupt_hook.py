"""A hook that saves the state of a training when a signal ends it."""

import math
import os
import shlex
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from ...registry import HOOKS, register

# Ctrl-C, and what Slurm and other schedulers send before they kill.
SIGNALS = (signal.SIGINT, signal.SIGTERM)
_REPEATED = 1.0  # s


@register(HOOKS)
class InterruptHook(Hook):
    """At Ctrl-C or SIGTERM finish the iteration, save the state and leave.

    In trainings by iterations the file is a checkpoint like any other, and ``--resume``
    goes on from it. In trainings by epochs it is ``interrupted_iter_N.pth``: ``--resume``
    goes on from the end of the last epoch, which repeats an uninterrupted run exactly,
    and ``--resume FILE`` keeps what was learned since and begins the epoch anew. A second
    Ctrl-C ends at once. Of several processes the first one saves.
    """

    # After all that belongs to an iteration: schedules, averaging, other checkpoints.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self.received: int | None = None
        self._when = -math.inf
        self._training = False
        self._before: dict[int, Any] = {}

    def listen(self) -> None:
        """Handle the signals, if this is the thread that gets them.

        ``tools/train.py`` calls this before the workers are forked: a terminal sends
        Ctrl-C to them too, and with this handler they leave it to the training.
        """
        if self._before or threading.current_thread() is not threading.main_thread():
            return
        self._process = os.getpid()
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._receive)

    def release(self) -> None:
        """Put back the handlers that were there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler or signal.SIG_DFL)  # None: one of C code
        self._before = {}
        self._training = False

    def before_train(self, runner: Runner) -> None:
        """Begin to finish the iteration at a signal."""
        self.listen()
        self.received, self._when, self._training = None, -math.inf, True

    def after_train(self, runner: Runner) -> None:
        """Stop listening."""
        self.release()

    def _receive(self, number: int, _: Any) -> None:
        if os.getpid() != self._process:  # a worker
            if number == signal.SIGTERM:  # this is how the training ends it
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        now = time.monotonic()
        # Programs such as `timeout` send it to the process and to its group.
        if number == signal.SIGTERM and now - self._when < _REPEATED:
            return
        if not self._training or (self.received is not None and is_main_process()):
            raise KeyboardInterrupt
        self.received, self._when = number, now
        if is_main_process():
            text = f'{signal.Signals(number).name}: the state will be saved after this '
            text += 'iteration; once more ends at once'
            print(text, file=sys.stderr, flush=True)

    def after_train_iter(self, runner: Runner, **_: Any) -> None:
        """Save and leave with a KeyboardInterrupt, if told to."""
        if self.received is not None and is_main_process():
            self._leave(runner, runner.iter + 1)

    def after_val_iter(self, runner: Runner, **_: Any) -> None:
        """Save and leave an evaluation during training, if told to."""
        if self.received is not None and is_main_process():
            for hook in runner.hooks:
                if isinstance(hook, EMAHook):  # puts the training's weights back
                    hook.after_val_epoch(runner)
            self._leave(runner, runner.iter)

    def _leave(self, runner: Runner, done: int) -> None:
        self.release()
        by_epoch = isinstance(runner._train_loop, EpochBasedTrainLoop)
        file = f'{"interrupted_" if by_epoch else ""}iter_{done}.pth'
        path = Path(runner.work_dir, file)
        meta = dict(iter=done)
        runner.save_checkpoint(runner.work_dir, file, by_epoch=False, meta=meta)
        runner.logger.info(f'interrupted: the state is in {path}')
        last = Path(runner.work_dir, 'last_checkpoint')
        words = f'interrupted; --resume {shlex.quote(str(path))} goes on from here'
        if not by_epoch:
            last.write_text(str(path))
            words = 'interrupted; --resume goes on from here'
        elif last.is_file():
            words += ', --resume alone from the end of the last epoch'
        raise KeyboardInterrupt(words)
