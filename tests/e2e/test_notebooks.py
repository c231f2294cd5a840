"""The notebooks, each from its first cell to its last, on the real processes and archives."""

import base64
from pathlib import Path

import httpx
import nbformat
import pytest
from nbclient import NotebookClient

from adit_core.db import TokenScope
from adit_core.services.nodes import add_server
from adit_core.services.tokens import create_token
from deployments.demo.specs import Form, SeriesSpec, StudySpec
from deployments.demo.studies import write_study
from tests.factories import study
from tests.servers import OrthancServer
from tests.stack import RunningStack

pytestmark = pytest.mark.system

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def _ct(patient_id: str, description: str) -> StudySpec:
    series = (SeriesSpec(Form.CT, 6, "Axial", 64, 64), SeriesSpec(Form.REPORT, 1, "Report"))
    return study(*series, patient_id=patient_id, description=description, key=f"notebook {description}")


STUDIES = (_ct("DEMO0001", "CT thorax"), _ct("DEMO0005", "CT abdomen"))


@pytest.fixture
def stack(adit: RunningStack) -> RunningStack:
    """The processes, with the dashboard."""
    adit.start("web")
    with httpx.Client(transport=httpx.HTTPTransport(retries=20)) as client:
        assert client.get(f"{adit.stack.web_url}/api/health/ready").is_success
    return adit


@pytest.fixture
def surroundings(
    stack: RunningStack,
    orthanc_source: OrthancServer,
    orthanc_destination: OrthancServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two archives, one with studies, and what a notebook is told of them."""
    for spec in STUDIES:
        orthanc_source.archive.load(write_study(spec, tmp_path / "studies"))
    told = {
        "ADIT_URL": stack.stack.web_url,
        "ADIT_TOKEN": create_token(stack.db, stack.user, name="test", scopes=frozenset(TokenScope)).token,
        **stack.stack.environment(),
    }
    for variable, server in (("ADIT_SOURCE", orthanc_source), ("ADIT_DESTINATION", orthanc_destination)):
        node = server.archive.node
        told[variable] = f"{node.ae_title} {tmp_path.name}"[-64:]
        add_server(stack.db, told[variable], ae_title=node.ae_title, host=node.host, port=node.port)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")


@pytest.mark.usefixtures("surroundings")
@pytest.mark.parametrize(
    ("name", "arrivals"),
    [
        ("1-search-transfer-plot", STUDIES[:1]),
        ("2-calling-the-flows", STUDIES),
        ("3-query-to-transfer", STUDIES),
    ],
)
def test_a_notebook_does_what_it_says(
    name: str, arrivals: tuple[StudySpec, ...], orthanc_destination: OrthancServer
) -> None:
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()

    assert orthanc_destination.contents().keys() == {
        uid for spec in arrivals for uid in spec.sop_instance_uids()
    }
    pictures = [
        output["data"]["image/png"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 1
    assert base64.b64decode(pictures[0]).startswith(b"\x89PNG")


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_committed_notebook_shows_its_outputs_and_is_small(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not any(output.output_type == "error" for output in outputs)
    assert path.stat().st_size < 100_000
