"""Processes that end with this one, however it ends: jobs, and the Lambda functions that ministack starts.

Each runs in a process group of its own, as a container has processes of its own. The kernel kills it when this process
is killed; `end_all` ends what is left of every group when this process ends by itself.
"""

import ctypes
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

_PR_SET_PDEATHSIG = 1
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

# The kernel sends the signal when the thread that forked ends, so one thread that never ends forks them all.
_FORKER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forker")
_GROUPS = set()


def _die_with_parent():
    if _PRCTL:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process(subprocess.Popen):
    """A child that does not outlive this process."""

    def __init__(self, *arguments, **options):
        options.update(preexec_fn=_die_with_parent, process_group=0)
        _FORKER.submit(super().__init__, *arguments, **options).result()
        _GROUPS.add(self.pid)


def end_group(pid):
    """Kills what a process that has ended left behind, as the end of its first process ends a container."""
    _GROUPS.discard(pid)
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # It left nothing.


def end_all():
    """Kills every process that is still there."""
    for pid in list(_GROUPS):
        end_group(pid)


def bind_all():
    """From now on every process that anybody here starts is bound to this one."""
    subprocess.Popen = Process
