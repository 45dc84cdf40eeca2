"""The results of a run: rows for pandas and datasets, labels, and the report in a notebook.

Rows are read by the libraries that the user has. Without any, the program prints them.
"""

import html
import json
import subprocess
from collections import Counter
from pathlib import Path

from ._program import TagfleetError, environment, program

# More rows than any run has.
_ALL = str(2**53)


def open(path):
    """Opens the results in `path`: a run's folder, or the folder given as `out`, then its latest complete run."""
    if str(path).startswith("s3://"):
        raise ValueError(f"{path} is in a bucket: copy it first, with `aws s3 cp --recursive {path} tags`")
    rows = Path(_show(path, "--path").strip())
    summary = json.loads((rows.parent / "summary.json").read_text(encoding="utf-8"))
    return Results(str(rows.parent), summary)


class Results:
    """The results of one complete run.

    `folder` is the run's folder, or its address in a bucket; `summary` is what `tagfleet report --json` prints.
    """

    def __init__(self, folder, summary):
        # The working directory may change.
        self.folder = folder if folder.startswith("s3://") else str(Path(folder).absolute())
        self.summary = summary

    @property
    def failed(self):
        """How many images failed, by reason."""
        return dict(self.summary["failed"])

    def __len__(self):
        return self.summary["rows"]

    def __iter__(self):
        """Rows in key order, as dicts of `key`, `tags` (the best first, of `label` and `score`) and `error`."""
        self._local()
        command = [program(), "show", self.folder, "--json", "--rows", _ALL]
        with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE) as process:
            try:
                yield from map(json.loads, process.stdout)
            finally:
                process.stdout.close()
        if process.returncode:
            raise TagfleetError(f"the rows of {self.folder} cannot be read", process.returncode)

    def labels(self):
        """Labels and the number of images that have them, the most frequent first.

        Images count for their best tag. If the model's labels are independent of each other (sigmoid), they count for all
        their tags.
        """
        tags = self.summary.get("tags") or {}
        most = None if tags.get("counted") == "all" else 1
        counts = Counter(tag["label"] for row in self for tag in (row["tags"] or [])[:most])
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def to_pandas(self):
        """All rows and columns as a `pandas.DataFrame`, sorted by key. Needs pandas and pyarrow."""
        try:
            import pandas
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise ImportError(f"{error}: install both with `pip install pandas pyarrow`") from error
        return pandas.read_parquet(f"{self.folder}/results").sort_values("key", ignore_index=True)

    def to_datasets(self):
        """All rows and columns as a `datasets.Dataset`, in memory. Needs datasets."""
        try:
            import datasets
        except ImportError as error:
            raise ImportError(f"{error}: install it with `pip install datasets`") from error
        self._local()
        files = sorted(str(path) for path in Path(self.folder, "results").glob("*.parquet"))
        return datasets.Dataset.from_parquet(files, keep_in_memory=True)

    def __repr__(self):
        failed = sum(self.failed.values())
        return f"<tagfleet run {self.summary['run']}: {self.summary['tagged']} tagged, {failed} failed, in {self.folder}>"

    def _repr_html_(self):
        """The report, pictures included, as a notebook shows it.

        The page is closed into a frame that runs no script and loads nothing: names of files and labels are foreign text.
        """
        report = Path(self.folder, "report.html")
        if not report.is_file():
            return f"<pre>{html.escape(repr(self))}</pre>"
        page = html.escape(report.read_text(encoding="utf-8"))
        style = "width:100%;height:640px;border:1px solid #8884;border-radius:6px"
        return f'<iframe title="tagfleet report" sandbox="" style="{style}" srcdoc="{page}"></iframe>'

    def _local(self):
        if str(self.folder).startswith("s3://"):
            raise ValueError(f"{self.folder} is in a bucket: copy it first, with `aws s3 cp --recursive`")


def _show(path, *arguments):
    command = [program(), "show", *arguments, "--", str(path)]
    shown = subprocess.run(command, env=environment(), capture_output=True, text=True, encoding="utf-8", errors="replace")
    if shown.returncode:
        raise TagfleetError(shown.stderr.strip().removeprefix("error: "), shown.returncode)
    return shown.stdout
