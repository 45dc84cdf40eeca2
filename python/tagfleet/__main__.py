"""`python -m tagfleet` is the program itself: it takes the place of this process."""

import os
import sys

from ._program import environment, program

if __name__ == "__main__":
    path = program()
    os.execve(path, [path, *sys.argv[1:]], environment())
