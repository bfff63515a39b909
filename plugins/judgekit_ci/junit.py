"""JUnit XML. `failure` is a loss of quality, and nothing else; `error` is whatever kept quality from being measured.

An inconclusive rule is an error of the type `inconclusive`: a failure would claim a regression that is not shown, and
a skipped case is green in most CI systems. An item without a score is skipped; only items can be: it is counted in the
results, and no gate rests on it by itself.

The times are 0 and the date is the epoch: a record holds no clock, and equal records give equal bytes.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import judgekit
from judgekit_ci.cases import WORDS, Case, cases
from judgekit_ci.texts import one_line, visible

_EPOCH = "1970-01-01T00:00:00"
_KINDS = {"fail": "failure", "inconclusive": "error", "error": "error"}
MOST_ITEMS = 20_000  # cases; a CI system does not show more


def junit(run: judgekit.RunView, sections: object) -> Mapping[str, bytes]:
    """{"junit.xml": …}: one case a rule of the gate, and one for each thing that prevents its decision."""
    return {"junit.xml": _document(run, [])}


def junit_items(run: judgekit.RunView, sections: object) -> Mapping[str, bytes]:
    """{"junit-items.xml": …}: the same, and one case for every sample, metric and system."""
    return {"junit-items.xml": _document(run, list(_items(run)))}


Element = ElementTree.Element


def _document(run: judgekit.RunView, items: list[Element]) -> bytes:
    record = run.record
    properties = {"run_id": record.run_id, "judgekit": record.judgekit_version, "status": record.status}
    if record.gate is not None:
        properties |= {"gate": record.gate.outcome, "baseline": record.gate.baseline}
    root = ElementTree.Element("testsuites")
    root.append(_suite(record.name, 0, properties, [_case(record.name, case) for case in cases(run)]))
    if items:
        root.append(_suite(f"{record.name}: items", 1, properties, items))
    ElementTree.indent(root, " ")
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _suite(name: str, number: int, properties: Mapping[str, str], elements: list[Element]) -> Element:
    kinds = Counter(child.tag for case in elements for child in case)
    suite = ElementTree.Element(
        "testsuite",
        {
            "name": one_line(name) or "–",
            "id": str(number),
            "package": "judgekit",
            "hostname": "localhost",
            "timestamp": _EPOCH,
            "time": "0",
            "tests": str(len(elements)),
            "failures": str(kinds["failure"]),
            "errors": str(kinds["error"]),
            "skipped": str(kinds["skipped"]),
        },
    )
    listed = ElementTree.SubElement(suite, "properties")
    for key, value in properties.items():
        ElementTree.SubElement(listed, "property", {"name": key, "value": one_line(value)})
    suite.extend(elements)
    for stream in ("system-out", "system-err"):  # the schema of Ant wants both
        ElementTree.SubElement(suite, stream)
    return suite


def _element(classname: str, name: str) -> Element:
    return ElementTree.Element(
        "testcase", {"classname": one_line(classname), "name": one_line(name) or "–", "time": "0"}
    )


def _case(suite: str, case: Case) -> Element:
    element = _element(f"{suite}.{case.group}", case.name)
    if case.outcome != "pass":
        kind = "quality" if case.outcome == "fail" else case.outcome
        message = f"{WORDS[case.outcome]}: {case.message}"
        _add(element, _KINDS[case.outcome], kind, message, case.lines)
    return element


def _add(element: Element, tag: str, kind: str, message: str, lines: Iterable[str]) -> None:
    """`kind` is the type of a failure or an error; Surefire's schema knows none of a skipped case: ""."""
    said = {"type": kind} if kind else {}
    child = ElementTree.SubElement(element, tag, {**said, "message": one_line(message, 500)})
    child.text = visible("\n".join(lines)) or None


def _items(run: judgekit.RunView) -> Iterator[Element]:
    """A case a sample, metric and system: its mean passes, an unanswered call is an error, no score is skipped."""
    rows: dict[tuple[str, str, str, str], list[judgekit.Row]] = {}
    for row in run.rows:
        rows.setdefault((row.metric, row.system, row.opponent, row.sample_id), []).append(row)
        if len(rows) > MOST_ITEMS:
            raise judgekit.UsageError(
                f"junit-items: more than {MOST_ITEMS:,} items; no CI system shows them, and `junit` has the rules"
            )
    for (metric, system, opponent, sample_id), measured in rows.items():
        versus = f" vs {opponent}" if opponent else ""
        element = _element(f"{run.record.name}.{metric}.{system}{versus}", sample_id)
        lost = [row for row in measured if row.status != "scored"]
        if lost:
            statuses = Counter(row.status for row in lost)
            said = ", ".join(f"{count} {status}" for status, count in statuses.items())
            lines = [verdict.detail for row in lost for verdict in row.verdicts if verdict.detail]
            tag, kind = ("error", "error") if statuses["error"] else ("skipped", "")
            if tag == "error" or len(lost) == len(measured):
                _add(element, tag, kind, f"{said} of {len(measured)}", lines)
        yield element
