"""Reports of a finished run, as they are told on the terminal."""

from judgekit.pipeline.report import in_short
from judgekit.run_folder import RunFolder


def test_a_folder_of_pages_is_told_in_one_line(tmp_path):
    folder = RunFolder(tmp_path)
    written = [tmp_path / "report" / f"items-{n}.html" for n in range(400)] + [tmp_path / "report.html"]
    assert in_short(written, folder) == [f"{tmp_path / 'report'} (400 files)", str(tmp_path / "report.html")]
