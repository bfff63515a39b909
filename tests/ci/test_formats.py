"""Every format read by a real reader of it: what failed is red, what is unknown is never green, and no text escapes."""

import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped
from lxml import etree
from markdown_it import MarkdownIt
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from gated_runs import claim, gated, hostile, limit
from judgekit.results import Gate
from judgekit_ci.annotations import commands
from judgekit_ci.cases import cases, outcome
from judgekit_ci.gitlab import code_quality
from judgekit_ci.junit import junit, junit_items
from judgekit_ci.markdown import MOST_BYTES, markdown
from judgekit_ci.openmetrics import openmetrics
from judgekit_ci.texts import inert, visible
from sample_run import HOSTILE, sample_run
from sinks import each_of
from tables import each

SCHEMA = etree.XMLSchema(etree.parse(Path(__file__).with_name("junit.xsd")))
EXTRA = (
    "::error::x", "::add-mask::x", "\n::stop-commands::t\n", "a%0A::error::b", "a | b", "![x](http://example.com/x.png)",
    "[x](javascript:alert(1))", "@octocat #1 GH-1 http://example.com www.example.com", "`code` **bold** # title",
    "```\n# title", "$x$ :tada: ~~x~~ \\| \\", "\ufffe\uffff\ufdd0",
    '"} 1\njudgekit_estimate 7\n# EOF', "<!DOCTYPE x [",
)  # fmt: skip
HOSTILE_TEXTS = (*HOSTILE, *EXTRA)


def document(files):
    (content,) = files.values()
    return content


def suites(content):
    SCHEMA.assertValid(etree.fromstring(content))
    return JUnitXml.fromstring(content)


def results(content):
    return {case.name: case.result for suite in suites(content) for case in suite}


# --- what is said -----------------------------------------------------------------------------------------------------


def test_a_rule_is_one_case_and_counts_are_those_of_the_cases():
    found = results(document(junit(gated(claim("FAIL"), limit("PASS"), claim("INCONCLUSIVE", metric="other")), [])))
    (failure,) = found["quality, sft: margin"]
    assert isinstance(failure, Failure)
    assert failure.type == "quality"
    assert "−9.0, between −12.0 and −6.0" in failure.message
    assert "4 better, 31 worse, 5 equal" in failure.text
    assert found["winrate, sft vs base: min"] == []
    (unknown,) = found["other, sft: margin"]
    assert isinstance(unknown, Error), "neither a failure, which nobody has shown, nor a skip, which is green"
    assert unknown.type == "inconclusive"
    content = document(junit(gated(claim("FAIL"), limit("PASS"), claim("INCONCLUSIVE", metric="other")), []))
    (suite,) = suites(content)
    counted = (suite.tests, suite.failures, suite.errors, suite.skipped)
    suite.update_statistics()
    assert counted == (suite.tests, suite.failures, suite.errors, suite.skipped)
    assert counted[1:3] == (1, 1)


@pytest.mark.parametrize("claims", [(), (claim("PASS"),)])
def test_a_gate_with_a_rule_that_was_not_evaluated_is_an_error(claims):
    view = gated()
    gate = Gate(outcome="INCONCLUSIVE", claims=claims, notes=("style: nothing was measured",))
    found = cases(replace(view, record=view.record.model_copy(update={"gate": gate})))
    assert outcome(found) == "error"
    assert ("style: nothing was measured",) in [case.lines for case in found if case.group == "gate"]


def test_a_run_that_is_not_whole_is_an_error_and_no_pass():
    view = gated(claim("PASS"), status="incomplete", errors={"measuring quality: no answer in 60 s": 3})
    (error,) = results(document(junit(view, [])))["complete"]
    assert isinstance(error, Error)
    assert "3 planned calls got no answer" in error.message
    assert "no answer in 60 s" in error.text
    trouble = "quality: judge model: a in the run, b in the baseline\nthe run was measured by another instrument"
    (error,) = results(document(junit(gated(trouble=trouble), [])))["comparison"]
    assert isinstance(error, Error)
    assert "another instrument" in error.message
    assert "judge model: a in the run" in error.text
    view = gated(estimates=(), differences=(), cards=())
    assert outcome(cases(view)) == "error"
    assert outcome([]) == "error"
    found = results(document(junit(sample_run(), [])))
    assert found["quality, sft"] == []
    (error,) = found["rouge, sft"]
    assert isinstance(error, Error), "a number that does not exist is no pass"
    record = sample_run().record
    failed = record.cards[0].model_copy(update={"passed": False})
    assert outcome([one for one in cases(gated(cards=(failed,))) if one.group == "judges"]) == "inconclusive"
    check = failed.checks[0].model_copy(update={"value": -7.3, "expected": "-5 … +5", "passed": False})
    below = failed.model_copy(update={"checks": (check,)})
    (case,) = (one for one in cases(gated(cards=(below,))) if one.group == "judges")
    assert f"{check.label}: −7.3, expected −5 … +5" in case.lines


def test_items_are_cases_of_their_own_and_what_has_no_score_is_not_passed():
    content = document(junit_items(gated(claim("PASS")), []))
    rules, items = suites(content)
    assert len(rules) < 10
    kinds = {type(result).__name__ for case in items for result in case.result}
    assert kinds <= {"Error", "Skipped"}
    by_kind = {
        kind: [case for case in items if any(isinstance(r, kind) for r in case.result)] for kind in (Error, Skipped)
    }
    assert by_kind[Error], "an unanswered call is an error"
    assert all(case.result[0].message for case in by_kind[Skipped])
    assert len({(case.classname, case.name) for case in items}) == len(items)


# --- Markdown ---------------------------------------------------------------------------------------------------------


def tokens(content):
    parser = MarkdownIt("gfm-like", {"linkify": False}).enable("table")
    return parser.parse(content.decode("utf-8"))


def blocks(content):
    """How many blocks there are of each kind; of a text of several lines there may be more list items."""
    loose = ("list_item", "paragraph", "bullet_list", "inline")
    return Counter(token.type for token in tokens(content) if not token.type.startswith(loose))


def inline(content):
    return [child for token in tokens(content) for child in token.children or ()]


def test_markdown_says_the_outcome_first():
    content = document(markdown(gated(claim("FAIL"), limit("PASS")), []))
    text = content.decode()
    assert text.startswith("## ❌ FAIL: ")
    rows = [token for token in tokens(content) if token.type == "tr_open"]
    assert len(rows) > 6
    assert "−9.0, between −12.0 and −6.0" in text
    assert "between 72.6 and 82.5 (95 % interval, bootstrap)" in text
    assert "90.0 → 10.0" in text
    assert text.index("**worse**") < text.index("**better**")
    for word in ("PASS", "FAIL", "INCONCLUSIVE"):
        assert word in document(markdown(gated(claim(word)), [])).decode().splitlines()[0]
    text = document(markdown(gated(trouble="another instrument"), [])).decode()
    assert text.startswith("## 🛑 ERROR")
    assert "that is no regression and no pass" in text


def test_markdown_stays_under_60_kb_and_says_what_it_left_out():
    long = "x" * 5000
    claims = [claim("FAIL", metric=f"m{n}", reasons=(long,) * 3) for n in range(300)]
    content = document(markdown(gated(*claims), []))
    assert len(content) < MOST_BYTES
    assert content.decode().startswith("## ❌ FAIL")
    assert "left out: this summary is kept under 60 KB" in content.decode()


def test_hostile_text_is_no_markdown():
    calm = blocks(document(markdown(hostile("calm"), [])))

    def is_text(text):
        content = document(markdown(hostile(text), []))
        assert blocks(content) == calm, "no new block or cell"
        kinds = {child.type for child in inline(content)}
        assert not kinds & {"link_open", "image", "code_inline", "em_open", "s_open"}
        tags = {child.content for child in inline(content) if child.type == "html_inline"}
        assert tags <= {"<code>", "</code>"}
        assert not re.search(r"[@$]\w|https?:|www\.|\x1b|\u202e", content.decode())

    each_of(HOSTILE_TEXTS, is_text)


def test_text_reads_as_it_was():
    said = MarkdownIt().render(inert("a_b*c* <i> & | `x` [l](u) @me #1 50 %"))
    assert re.sub(r"&(lt|gt|amp);", lambda m: {"lt": "<", "gt": ">", "amp": "&"}[m[1]], said).strip() == (
        "<p><code>a_b*c* <i> & | `x` [l](u) @me #1 50 %</code></p>"
    )
    assert visible("a\x00b\x1b[31m\ud800\ufffe\u202e\tc\n") == "a\\x00b\\x1b[31m\\ud800\\ufffe\\u202e\tc\n"


# --- XML, annotations, GitLab, OpenMetrics ----------------------------------------------------------------------------


@each(junit, junit_items)
def test_hostile_text_stays_visible_text_in_xml(reporter):
    def tags(content):
        return [element.tag for element in etree.fromstring(content).iter()]

    calm = tags(document(reporter(hostile("calm"), [])))

    def is_text(text):
        content = document(reporter(hostile(text), []))
        assert tags(content) == calm
        (error,) = results(content)["comparison"]
        assert error.text.strip() == "\n".join(visible(text).splitlines()).strip()

    each_of(HOSTILE_TEXTS, is_text)


def test_annotations_are_few_and_unescape():
    claims = [claim("INCONCLUSIVE", metric=f"u{n}") for n in range(9)] + [
        claim("FAIL", metric=f"f{n}") for n in range(9)
    ]
    lines = document(commands(gated(*claims), [])).decode().splitlines()
    assert len(lines) == 10
    assert all(line.startswith("::error title=FAIL") for line in lines[:9])
    assert lines[9].endswith("::and 9 more: see the summary, or junit.xml")
    assert document(commands(gated(claim("PASS")), [])) == b""
    view = gated(claim("FAIL", metric="a,b:c%", reasons=("100 %\nline",)))
    (line,) = document(commands(view, [])).decode().splitlines()
    title, message = re.fullmatch(r"::error title=(.*?)::(.*)", line).groups()  # type: ignore[union-attr]
    plain = title.replace("%2C", ",").replace("%3A", ":").replace("%0A", "\n").replace("%25", "%")
    assert plain == "FAIL: a,b:c%, sft: margin"
    assert "100 %\nline" in message.replace("%0A", "\n").replace("%25", "%")


def test_an_annotation_is_one_line_whatever_it_says():
    calm = len(document(commands(hostile("calm"), [])).decode().splitlines())

    def is_one_line(text):
        lines = document(commands(hostile(text), [])).decode().splitlines()
        for line in lines:
            assert re.fullmatch(r"::(error|warning) title=([^:,]*)::(.*)", line)
            assert "\x1b" not in line
        assert len(lines) == calm

    each_of(HOSTILE_TEXTS, is_one_line)


def test_code_quality_stays_and_openmetrics_has_the_gate():
    found = json.loads(document(code_quality(gated(claim("FAIL"), claim("INCONCLUSIVE", metric="other")), [])))
    assert len(found) == 2
    for entry in found:
        assert set(entry) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert entry["severity"] in {"info", "minor", "major", "critical", "blocker"}
        assert entry["location"]["path"]
        assert not Path(entry["location"]["path"]).is_absolute()
        assert entry["location"]["lines"]["begin"] >= 1
        assert re.fullmatch(r"[0-9a-f]{64}", entry["fingerprint"])
    assert len({entry["fingerprint"] for entry in found}) == 2
    (again,) = json.loads(document(code_quality(gated(claim("FAIL", value=-20.0, reasons=("x",))), [])))
    assert again["fingerprint"] == found[0]["fingerprint"], "the same rule in another run"
    assert json.loads(document(code_quality(gated(claim("PASS")), []))) == []
    found = families(document(openmetrics(gated(claim("FAIL"), limit("PASS")), [])))
    assert found["judgekit_estimate", "", "quality", "sft"] == pytest.approx(77.3, abs=0.05)
    assert found["judgekit_gate_fail", "", "margin", "quality", "sft"] == 1
    assert found["judgekit_gate_pass", "base", "min", "sft", "winrate"] == 1
    assert found["judgekit_complete", "quickstart"] == 1
    assert not any(name == "judgekit_estimate" and "rouge" in labels for name, *labels in found), "no value, no sample"


def test_code_quality_survives_any_text():
    kinds = ("fail", "error", "inconclusive")
    names = {f"judgekit/{group}/{kind}" for group in ("gate", "run", "judges") for kind in kinds}

    def survives(text):
        entries = json.loads(document(code_quality(hostile(text), [])))
        assert {entry["check_name"] for entry in entries} <= names
        assert all("\n" not in entry["description"] for entry in entries)

    each_of(HOSTILE_TEXTS, survives)


def families(content):
    text = content.decode("utf-8")
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_openmetrics_survives_any_label():
    known = {
        "judgekit_complete", "judgekit_estimate", "judgekit_estimate_low", "judgekit_estimate_high", "judgekit_items",
        "judgekit_unscored", "judgekit_difference", "judgekit_difference_low", "judgekit_difference_high",
        "judgekit_gate_pass", "judgekit_gate_fail", "judgekit_gate_value",
    }  # fmt: skip

    def survives(text):
        samples = families(document(openmetrics(hostile(text), [])))
        assert ("judgekit_complete", visible(text)) in samples
        assert {name for name, *_ in samples} <= known

    each_of(HOSTILE_TEXTS, survives)


@each(junit, junit_items, markdown, commands, code_quality, openmetrics)
def test_equal_runs_give_equal_bytes(reporter):
    def digest():
        return hashlib.sha256(document(reporter(gated(claim("FAIL"), limit("PASS")), []))).hexdigest()

    assert digest() == digest()
