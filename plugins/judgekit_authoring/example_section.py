"""A section that the plugin adds to every report: what became of the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import judgekit


def example_sections(run: judgekit.RunView) -> Sequence[judgekit.Section]:
    """One section, with a table of the rows by system and status."""
    counts = Counter((row.system, row.status) for row in run.rows)
    rows = tuple((system, status, str(count)) for (system, status), count in sorted(counts.items()))
    table = judgekit.Table(("system", "status", "rows"), rows)
    return [judgekit.Section("example", "What became of the rows", "Rows of all metrics, by status.", table=table)]
