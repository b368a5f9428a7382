"""The notebooks run from the first cell to the last, and are committed without what they printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from nbclient import NotebookClient

if TYPE_CHECKING:
    from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).parents[2] / "examples" / "notebooks"
CELL_TIMEOUT_S = 300


def read(name: str) -> NotebookNode:
    notebook = nbformat.read(NOTEBOOKS / name, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    return notebook


@pytest.fixture(autouse=True)
def _no_settings_of_jupyter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))


def executed(name: str, folder: Path) -> tuple[str, list[str]]:
    """All that a notebook prints, and the types of what it shows."""
    notebook = read(name)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, kernel_name="python3", timeout=CELL_TIMEOUT_S, resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    printed = [output.text for output in outputs if output.get("name") == "stdout"]
    return "".join(printed), [kind for output in outputs for kind in output.get("data", ())]


@pytest.mark.parametrize("file", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda file: file.stem)
def test_a_notebook_is_committed_without_outputs(file: Path) -> None:
    for cell in read(file.name).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_the_quickstart_exports_serves_classifies_evaluates_compares_and_plots(tmp_path: Path) -> None:
    printed, shown = executed("quickstart.ipynb", tmp_path)

    assert printed.count("of the float64 reference") == 2
    answers = [line.split()[0] for line in printed.splitlines() if line.endswith(" tokens")]
    assert answers[:2] == ["pos", "neg"]
    for words in ("precision", "expected calibration error", "is neg, said pos", "same label for", "McNemar"):
        assert words in printed
    assert "image/png" in shown
    assert (tmp_path / "report.html").stat().st_size > 50_000
