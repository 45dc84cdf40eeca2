"""Run your ONNX image classifier over a folder or a bucket, and read what it found.

>>> import tagfleet
>>> results = tagfleet.run("photos", model="vit", out="tags")
>>> results.labels()
{'tabby': 212, 'Egyptian cat': 88}
>>> tagfleet.open("tags").to_pandas()

The work is done by the program `tagfleet`, which this package installs; nothing here computes.
"""

from importlib.metadata import version as _version

from ._program import Incomplete, TagfleetError, program
from ._results import Results, open
from ._run import run

__all__ = ["Incomplete", "Results", "TagfleetError", "open", "program", "run"]
__version__ = _version("tagfleet")
