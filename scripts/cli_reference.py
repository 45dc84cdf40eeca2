#!/usr/bin/env python3
"""Prints docs/reference/cli.md: the help of every command of the `tagfleet` that is given.

    scripts/cli_reference.py target/debug/tagfleet >docs/reference/cli.md

A test fails if the page is not what this prints. The help is what clap prints without a terminal, at 100 columns, with
no variable of the caller's environment in it.
"""

import re
import subprocess
import sys

HEAD = """# Command line

Every command and option, as `tagfleet --help` prints them. `make reference` writes this page.

"""


def help_of(program: str, command: list[str]) -> str:
    """What `tagfleet COMMAND --help` prints."""
    environment = {"COLUMNS": "100", "NO_COLOR": "1", "ORT_DISABLE_TELEMETRY": "1"}
    ran = subprocess.run(
        [program, *command, "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, check=True
    )
    return ran.stdout.rstrip()


def commands_in(text: str) -> list[str]:
    """The commands that a help lists, without `help` itself."""
    listed = re.search(r"^Commands:\n((?:  .*\n)+)", text, re.MULTILINE)
    names = re.findall(r"^  ([a-z][a-z-]*)(?:  |$)", listed.group(1), re.MULTILINE) if listed else []
    return [name for name in names if name != "help"]


def section(program: str, command: list[str]) -> str:
    """The help of a command and of all below it."""
    text = help_of(program, command)
    title = " ".join(["tagfleet", *command])
    sections = [f"{'#' * min(2 + max(len(command) - 1, 0), 3)} {title}\n\n```text\n{text}\n```\n"]
    for name in commands_in(text):
        sections.append(section(program, [*command, name]))
    return "\n".join(sections)


if __name__ == "__main__":
    sys.stdout.write(HEAD + section(sys.argv[1], []))
