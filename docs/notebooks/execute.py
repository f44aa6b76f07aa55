"""Execute the notebook in place: `python docs/notebooks/execute.py`; needs the `docs` extra."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

PATH = Path(__file__).with_name("first-look.ipynb")


def main() -> None:
    """Run every cell in a folder of its own and write outputs into the file."""
    os.environ["TQDM_DISABLE"] = "1"
    notebook = nbformat.read(PATH, as_version=4)  # type: ignore[no-untyped-call]
    with TemporaryDirectory() as place:
        NotebookClient(notebook, resources={"metadata": {"path": place}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times
    nbformat.write(notebook, PATH)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
