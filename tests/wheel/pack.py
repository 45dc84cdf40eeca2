"""Packs a program that is already built into a wheel, with the metadata that maturin gives the released one.

maturin compiles what it packs, in release: half an hour that no test needs. `pack.py PROGRAM FOLDER` prints the wheel's path.
It downloads nothing.
"""

import base64
import hashlib
import stat
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def metadata(folder):
    """Lets maturin write the wheel's metadata; returns their folder."""
    command = [Path(sys.executable).parent / "maturin", "pep517", "write-dist-info"]
    command += ["--metadata-directory", folder, "--interpreter", sys.executable]
    subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
    return next(Path(folder).glob("*.dist-info"))


def contents(program, info):
    """Names in the wheel, and the files that they get."""
    for path in sorted((PROJECT / "python").rglob("*.py")):
        yield path.relative_to(PROJECT / "python").as_posix(), path
    yield f"{info.stem}.data/scripts/tagfleet", program
    for path in sorted(info.rglob("*")):
        if path.is_file():
            yield path.relative_to(info.parent).as_posix(), path


def pack(program, folder):
    with tempfile.TemporaryDirectory() as temporary:
        info = metadata(temporary)
        tag = next(line for line in (info / "WHEEL").read_text().splitlines() if line.startswith("Tag: "))
        wheel = folder / f"{info.stem}-{tag.removeprefix('Tag: ')}.whl"
        records = []
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, path in contents(program, info):
                data = path.read_bytes()
                entry = zipfile.ZipInfo(name)
                entry.external_attr = (stat.S_IFREG | (0o755 if path == program else 0o644)) << 16
                archive.writestr(entry, data)
                digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                records.append(f"{name},sha256={digest},{len(data)}\n")
            record = f"{info.name}/RECORD"
            archive.writestr(record, "".join([*records, f"{record},,\n"]))
    return wheel


if __name__ == "__main__":
    print(pack(Path(sys.argv[1]), Path(sys.argv[2])))
