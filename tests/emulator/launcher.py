"""AWS on this machine, without an account or Docker: ministack, with AWS Batch jobs that really run.

    AWS_ENDPOINT_URL=http://127.0.0.1:PORT GATEWAY_PORT=PORT BIND_HOST=127.0.0.1 MINISTACK_REGION=us-east-1 \\
        python launcher.py [--until-eof]

It patches private functions of ministack, so it starts with exactly the version that it was written for. Further
settings stand in jobs.py. With --until-eof it ends when its standard input does. Whatever it started ends with it.
"""

import importlib.metadata
import os
import signal
import sys
import threading

MINISTACK = "1.5.33"
SETTINGS = ("AWS_ENDPOINT_URL", "GATEWAY_PORT", "BIND_HOST", "MINISTACK_REGION")


def _check():
    found = importlib.metadata.version("ministack")
    if found != MINISTACK:
        sys.exit(f"launcher: ministack {found} is installed, but this launcher patches {MINISTACK}: "
                 "install tests/emulator/requirements.txt")
    missing = [name for name in SETTINGS if name not in os.environ]
    if missing:
        sys.exit(f"launcher: set {', '.join(missing)}")


def _end_with_input(end_processes):
    sys.stdin.buffer.read()
    # First those whose requests the server would wait for.
    end_processes()
    os.kill(os.getpid(), signal.SIGTERM)


def main():
    """Serves until it is asked to end."""
    _check()
    import jobs
    import machines
    import observe
    import processes
    import refusals
    import resources
    from ministack import app

    processes.bind_all()
    for module in (resources, jobs, machines, observe, refusals):
        module.install()
    if "--until-eof" in sys.argv:
        sys.argv.remove("--until-eof")
        threading.Thread(target=_end_with_input, args=(processes.end_all,), daemon=True).start()
    try:
        app.main()
    finally:
        processes.end_all()
        # Threads that wait for jobs keep the interpreter from ending.
        os._exit(0)


if __name__ == "__main__":
    main()
