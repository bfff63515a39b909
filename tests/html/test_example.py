"""The committed example is what this code makes of the record beside it."""

import re

import pytest

from judgekit.pipeline.report import write_reports
from judgekit.plugins import build_manager
from judgekit.run_folder import RunFolder

PICTURE = re.compile(rb"data:image/svg\+xml;base64,[A-Za-z0-9+/=]+")
MACHINE = re.compile(r"(?<![\w.])/(home|root|work|tmp|Users|var)/\w")


@pytest.fixture
def example(checkout):
    return checkout / "reports" / "examples" / "quickstart"


def test_the_example_is_a_real_run_as_this_code_makes_it(example, tmp_path, checkout):
    """Its words and numbers; the pictures, which another vl-convert may draw otherwise, are left out."""
    folder = tmp_path / "quickstart"
    for path in example.rglob("*.json*"):
        (folder / path.relative_to(example)).parent.mkdir(parents=True, exist_ok=True)
        (folder / path.relative_to(example)).write_bytes(path.read_bytes())
    write_reports(RunFolder(folder), ["html"], build_manager())
    made, kept = (PICTURE.sub(b"", (one / "report.html").read_bytes()) for one in (folder, example))
    assert made == kept, "make example-report"
    record = RunFolder(example).view().record
    assert (record.name, record.status) == ("quickstart", "complete")
    for path in (path for path in example.rglob("*") if path.suffix in (".json", ".jsonl", ".html")):
        assert not MACHINE.search(path.read_text("utf-8")), path.name
    assert "reports/examples/quickstart/report.png" in (checkout / "README.md").read_text("utf-8")
    assert (example / "report.html").stat().st_size < 5_000_000
