"""Where the program is, and the environment that it runs in.

Only places that this package was installed to are looked at: a program of the same name on PATH may be of another version.
"""

import importlib.util
import os
import sysconfig
from pathlib import Path

_NAME = "tagfleet"


class TagfleetError(Exception):
    """The program stopped with an error; `code` is its exit code: 1 broken, 2 bad usage or bad input."""

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


class Incomplete(TagfleetError):
    """The run is not complete: call `run` again with the same arguments, and it continues."""


def program():
    """The path of the installed program."""
    for folder in _folders():
        path = folder / _NAME
        if path.is_file():
            return str(path)
    places = ", ".join(str(folder) for folder in _folders())
    raise FileNotFoundError(
        f"the program {_NAME} is not in {places}: install it with `pip install --force-reinstall {_NAME}`"
    )


def _folders():
    packages = Path(__file__).resolve().parent.parent
    folders = [
        Path(sysconfig.get_path("scripts")),
        Path(sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user"))),
        # lib/python3.11/site-packages
        packages.parent.parent.parent / "bin",
        # pip install --target
        packages / "bin",
    ]
    return list(dict.fromkeys(folders))


def environment():
    """This process's environment, in which engines report to nobody and this Python's ONNX Runtime is found.

    A library that the user names is left alone.
    """
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    library = _onnxruntime()
    if library and not environment.get("ORT_DYLIB_PATH"):
        environment["ORT_DYLIB_PATH"] = library
    return environment


def _onnxruntime():
    # It is looked up, not imported: importing it takes a second, and it would report to its maker.
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return None
    capi = Path(spec.origin).parent / "capi"
    libraries = sorted([*capi.glob("libonnxruntime.so*"), *capi.glob("libonnxruntime.*dylib")])
    return str(libraries[0]) if libraries else None
