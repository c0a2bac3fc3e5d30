"""A network in a process of its own, which times its calls when asked.

All networks of a comparison run this way, so that they are measured alike: processes differ
in their memory by a few percent of the time. Each may import mmghost from another checkout.
The way between the processes is not measured.
"""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

# glibc returns large maps to the system when they are freed, some and some not, by the
# history of the process; allocating them again then costs up to a third of the time.
MALLOC = {'MALLOC_MMAP_MAX_': '0', 'MALLOC_TRIM_THRESHOLD_': '-1'}


class Worker:
    """A process that imports mmghost from a folder.

    Args:
        folder: A checkout of mmghost; None for this one.
        threads: Number of threads.
    """

    def __init__(self, folder: str | None, threads: int) -> None:
        folder = Path(folder or ROOT).resolve()
        path = [str(folder), str(ROOT), os.environ.get('PYTHONPATH', '')]
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'dev.worker', str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **MALLOC, 'PYTHONPATH': os.pathsep.join(path)},
            cwd=folder,  # python -m looks there first
            text=True,
        )

    def ask(self, *request: Any) -> Any:
        """Send a request, and return the answer.

        Raises:
            RuntimeError: If the process has ended.
        """
        self.process.stdin.write(json.dumps(request) + '\n')
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f'the process of a network ended at {request}')
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def serve(threads: int) -> None:
    """Answer the requests on standard input until it is closed."""
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # what libraries print is no answer
    import torch

    torch.set_num_threads(threads)
    from .networks import UserError, prepare
    from .timing import timed

    calls = []
    for line in sys.stdin:
        what, *arguments = json.loads(line)
        if what == 'time':
            index, repeats = arguments
            answer = timed(calls[index], repeats)
        else:
            try:
                calls.append(prepare(*arguments))
                answer = dict(index=len(calls) - 1)
            except (ImportError, UserError) as error:
                answer = dict(missing=str(error))
            gc.collect()
            gc.freeze()
        answers.write(json.dumps(answer) + '\n')
        answers.flush()


if __name__ == '__main__':
    gc.disable()
    serve(int(sys.argv[1]))
