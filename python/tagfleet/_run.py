"""Starts a run, shows its progress, and opens its results."""

import json
import os
import signal
import subprocess
import sys

from ._program import Incomplete, TagfleetError, environment, program
from ._results import Results

# Exit codes of `tagfleet run`; its help lists them.
_FINISHED = (0, 3)
_INCOMPLETE = 4


def run(*inputs, model, out, quiet=False, **options):
    """Tags images, and returns the run's results.

    `inputs` are folders, image files, or prefixes of one bucket (`s3://bucket/prefix`). `model` is an .onnx file or the
    folder of an export. `out` is the folder, or the prefix of a bucket, that gets the results. `options` are those of
    `tagfleet run`: `top_k=3` is `--top-k 3`, `exact=True` is `--exact`, and a list gives an option several times.

    The same call continues a run that was interrupted. Images that failed are rows with an error, not an exception;
    `results.failed` counts them.

    Raises `Incomplete` if the run was interrupted, and `TagfleetError` if it could not run.
    """
    if not inputs:
        raise TypeError("run() needs at least one input: a folder, an image file, or s3://bucket/prefix")
    arguments = ["run", *_flag("model", model), *_flag("out", out), "--json"]
    for name, value in options.items():
        arguments += _flag(name, value)
    code, printed, error = _call([*arguments, "--", *map(os.fspath, inputs)], quiet)
    if code in _FINISHED:
        summary = json.loads(printed)
        return Results(summary["results"].rstrip("/").removesuffix("/results"), summary)
    if code == _INCOMPLETE:
        raise Incomplete("the run is not complete: call run() again with the same arguments to continue it", code)
    raise TagfleetError(error or f"tagfleet ended with exit code {code}", code)


def _flag(name, value):
    """An option as the command line takes it."""
    flag = "--" + name.replace("_", "-")
    if value is None or value is False:
        return []
    if value is True:
        return [flag]
    values = value if isinstance(value, (list, tuple)) else [value]
    # With `=`, a value that starts with a hyphen is not taken as another option.
    return [f"{flag}={os.fspath(value) if isinstance(value, os.PathLike) else value}" for value in values]


def _call(arguments, quiet):
    """Runs the program. Returns its exit code, what it printed, and its error.

    Its messages are passed on line by line, because a notebook shows what Python writes and not what a process does. It has
    a session of its own, so that Ctrl-C reaches it once, from here: twice would stop it at once.
    """
    command = [program(), *arguments]
    process = subprocess.Popen(
        command,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    with process:
        error = None
        while True:
            try:
                error = _pass_on(process.stderr, quiet) or error
                break
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)
        # A summary is short: it never fills the pipe while stderr is read.
        printed = process.stdout.read()
    return process.returncode, printed, error


def _pass_on(lines, quiet):
    """Writes lines to this process's stderr. Returns what follows `error: `."""
    error = None
    for line in lines:
        if line.startswith("error: "):
            error = line.removeprefix("error: ").strip()
        elif not quiet:
            sys.stderr.write(line)
            sys.stderr.flush()
    return error
