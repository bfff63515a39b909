"""GitLab's code quality report: a JSON list with description, check_name, fingerprint, severity and location.

There is one entry for each rule that did not pass, so a merge request shows what it broke and what it mended: the
fingerprint of a rule is the same in every run. GitLab wants a file and a line; the config stands for both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import judgekit
from judgekit_ci.cases import WORDS, cases
from judgekit_ci.texts import one_line

CONFIG = "judgekit.yaml"
_SEVERITIES = {"fail": "critical", "error": "major", "inconclusive": "minor"}


def code_quality(run: judgekit.RunView, sections: object) -> Mapping[str, bytes]:
    """{"codequality.json": …}; an empty list where everything passed."""
    issues = [
        {
            "description": one_line(f"{WORDS[case.outcome]}: {case.name}: {case.message}", 1000),
            "check_name": f"judgekit/{case.group}/{case.outcome}",
            "fingerprint": hashlib.sha256(ascii([run.record.name, case.group, case.name]).encode()).hexdigest(),
            "severity": _SEVERITIES[case.outcome],
            "location": {"path": CONFIG, "lines": {"begin": 1}},
        }
        for case in cases(run)
        if case.outcome != "pass"
    ]
    return {"codequality.json": json.dumps(issues, indent=1, ensure_ascii=True).encode("ascii") + b"\n"}
