"""A hook that saves the state when a training is told to end."""

import math
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from ...registry import HOOKS, register
from ..checkpoints import save_state

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
    Ctrl-C ends at once.

    Of several processes the first one saves; the others wait to be ended by what started
    them.
    """

    # After all that belongs to an iteration: schedules, averaging, other checkpoints.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self.received: int | None = None
        self._when = -math.inf
        self._process: int | None = None
        self._before: dict[int, Any] = {}

    def before_train(self, runner: Runner) -> None:
        """Listen, as far as this is the thread that signals come to."""
        self.received = None
        self._when = -math.inf
        self._process = os.getpid()
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._receive)

    def after_train(self, runner: Runner) -> None:
        """Put the handlers back that were there before."""
        for number, handler in self._before.items():
            # None stands for one that C code set, which Python cannot put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before = {}

    def _receive(self, number: int, _: Any) -> None:
        if os.getpid() != self._process:
            self._receive_elsewhere(number)
            return
        now = time.monotonic()
        # Programs that end others, such as `timeout`, send it to the process and to its
        # group: that is one wish, not two.
        again = number == signal.SIGTERM and now - self._when < _REPEATED
        if again:
            return
        if self.received is not None and is_main_process():
            raise KeyboardInterrupt
        self.received, self._when = number, now
        if is_main_process():
            print(
                f'{signal.Signals(number).name}: the state will be saved after this '
                'iteration; once more ends at once',
                file=sys.stderr,
                flush=True,
            )

    def _receive_elsewhere(self, number: int) -> None:
        """Do in a forked process, such as one that loads pictures, what befits it.

        A terminal sends Ctrl-C to all processes of its group: the training answers, and
        ends its own. SIGTERM is how it does that.
        """
        if number == signal.SIGTERM:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Save and leave, if told to.

        Raises:
            KeyboardInterrupt: After the state was saved.
        """
        self._leave(runner, runner.iter + 1)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Save and leave an evaluation in the midst of a training, if told to.

        Raises:
            KeyboardInterrupt: After the state was saved.
        """
        if self.received is None or not is_main_process():
            return
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):
                hook.after_val_epoch(runner)  # puts the training's own weights back
        self._leave(runner, runner.iter)

    def leave_after(self, error: Exception, runner: Runner) -> None:
        """Save and leave where a signal came while the training waited for data.

        Loader processes that were forked before this hook listened end of Ctrl-C
        themselves, and the wait for them ends in an error.

        Args:
            error: What the training ended with.
            runner: Its runner.

        Raises:
            KeyboardInterrupt: If told to end; after the state was saved, unless an
                iteration was under way, whose state would be half of one.
        """
        if self.received is None:
            return
        loops = [
            (frame.f_code.co_name, frame.f_locals.get('self'))
            for frame, _ in traceback.walk_tb(error.__traceback__)
            if frame.f_globals.get('__name__') == EpochBasedTrainLoop.__module__
        ]
        methods = [method for method, _ in loops]
        if loops and 'run_iter' not in methods:
            if any(loop is runner._val_loop for _, loop in loops):
                self.after_val_iter(runner, 0)
            self._leave(runner, runner.iter)
        raise KeyboardInterrupt from None

    def _leave(self, runner: Runner, done: int) -> None:
        if self.received is None or not is_main_process():
            return
        self.after_train(runner)
        by_epoch = isinstance(runner._train_loop, EpochBasedTrainLoop)
        file = f'{"interrupted_" if by_epoch else ""}iter_{done}.pth'
        save_state(runner, file, done)
        if not by_epoch:
            Path(runner.work_dir, 'last_checkpoint').write_text(
                str(Path(runner.work_dir, file))
            )
        path = os.path.join(runner.work_dir, file)
        runner.logger.info(f'interrupted: the state is in {path}')
        words = f'interrupted; --resume {path} goes on from here'
        if not by_epoch:
            words = 'interrupted; --resume goes on from here'
        elif Path(runner.work_dir, 'last_checkpoint').is_file():
            words += ', --resume alone from the end of the last epoch'
        raise KeyboardInterrupt(words)
