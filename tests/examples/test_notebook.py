"""The example notebook, executed in a kernel of its own: what its cells show."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.fresh_environment import ROOT

NOTEBOOK = ROOT / "examples" / "notebook.ipynb"
MEDIA = ["image/svg+xml", "text/html", "text/plain"]
MORE = [
    "idle = gradprobe.Probe()\nidle",
    "with idle:\n    display(idle)\n    2 * z0\n    display(idle)",
    "with gradprobe.Probe() as probe:\n    pass\nprobe",
    "with gradprobe.Probe(leaves=['no_such']) as probe:\n    (2 * z0).sum().backward()\nprobe",
    "print(report.render('text'))",
]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The outputs of the example's cells that show something, then those of `MORE`."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    notebook.cells += [nbformat.v4.new_code_cell(source) for source in MORE]
    folder = tmp_path_factory.mktemp("notebook")
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path)
        for name in ("IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):  # not the user's
            patch.setenv(name, str(folder))
        resources = {"metadata": {"path": str(folder)}}
        NotebookClient(notebook, timeout=120, resources=resources).execute()
    return [cell.outputs for cell in notebook.cells if cell.get("outputs")]


def test_a_probe_and_its_report_are_text_html_and_a_picture(cells: list[Any]) -> None:
    (probe,), (findings,), (report,) = cells[:3]
    for shown in (probe, report):
        assert sorted(shown.data) == MEDIA
        assert shown.data["text/plain"].startswith("partial: z0 has a gradient")
        assert "GP101" in shown.data["text/html"]
        assert "<svg" in shown.data["text/html"]
        assert shown.data["image/svg+xml"].startswith("<svg")
    assert findings.data["text/plain"] == "[('GP101', 'model(x, sigma).detach()')]"


def test_the_line_of_a_cell_is_quoted(cells: list[Any]) -> None:
    assert "denoised = model(x, sigma).detach()" in cells[0][0].data["text/plain"]


def test_a_probe_without_a_report_is_one_honest_line(cells: list[Any]) -> None:
    (idle,), (started, running), (empty,), (unknown,) = cells[3:7]
    lines = {
        "not started; use it in a `with` block": idle,
        "still running, 0 ops seen; its report is there when it has stopped": started,
        "still running, 1 ops seen; its report is there when it has stopped": running,
        "stopped, no op of torch was seen": empty,
    }
    for state, shown in lines.items():
        assert shown.data["text/plain"] == f"<gradprobe.Probe: {state}>"
        assert f"&lt;gradprobe.Probe: {state}&gt;</pre>" in shown.data["text/html"]
    assert "no report: no leaf named 'no_such' was seen" in unknown.data["text/plain"]
    assert not any("image/svg+xml" in one.data for one in (idle, started, empty, unknown))


def test_the_text_can_be_printed_there(cells: list[Any]) -> None:
    (printed,) = cells[7]
    assert (printed.output_type, printed.name) == ("stream", "stdout")
    assert printed.text.startswith("partial: z0 has a gradient")


def test_the_example_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    assert Path(NOTEBOOK).stat().st_size < 10_000
