"""What a reader may ask for: no texts, charts to explore, and pages where the samples are many."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import judgekit
import judgekit.data
from gate_folders import a_run
from judgekit.cli import execute
from judgekit.run_folder import RunFolder
from judgekit_html import drawing, page, report
from report_pages import UNFOLD, Reader, foreign, opened, until
from rich_run import STEP, TALK, rich_run
from sample_run import sample_run
from tables import each


def files(view, many=page.MANY):
    return dict(page.ReportPages(view, [], many).files())


# --- charts to explore ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def explored(tmp_path_factory):
    """The rich run's report with charts to explore."""
    path = tmp_path_factory.mktemp("explored") / "report.html"
    path.write_bytes(files(replace(rich_run(), interactive=True))["report.html"])
    return path


def test_charts_to_explore_are_the_same_each_time_and_small(explored):
    drawing.bundle.cache_clear()
    made = files(replace(rich_run(), interactive=True))["report.html"]
    assert explored.read_bytes() == made
    assert len(made) < 2_500_000


@pytest.mark.browser
@each("light", pytest.param("dark", marks=pytest.mark.slow))
def test_charts_can_be_explored_under_the_same_policy(scheme, browser, explored):
    with opened(browser, explored, color_scheme=scheme) as found:
        charts = found.page.locator("img.chart").count()
        until(found.page, f"document.querySelectorAll('.vega svg').length === {charts}")
        assert found.page.locator("img.chart:visible").count() == 0
        found.page.locator("#results .vega svg").first.hover()
        assert (found.noise, foreign(found.requests, explored), found.violations) == ([], [], [])


@pytest.mark.browser
def test_without_javascript_the_pictures_stay(browser, explored):
    with opened(browser, explored, watch=False, java_script_enabled=False) as found:
        assert found.page.locator("#results img.chart").first.is_visible()


# --- many samples -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def paged(tmp_path_factory):
    """The rich run, whose 651 samples are too many for one page here."""
    folder = tmp_path_factory.mktemp("paged")
    for name, content in files(rich_run(520), many=100).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_many_samples_have_pages_that_come_one_by_one(paged, monkeypatch):
    names = sorted(path.name for path in (paged / "report").iterdir())
    assert names == ["items-0001.html", "items-0002.html", "items-0003.html"]
    whole = Reader(files(rich_run(520))["report.html"])
    pages = [Reader((paged / "report" / name).read_bytes()) for name in names]

    def samples(text):
        return text.partition("Open all shown")[2].partition("Errors")[0].strip()

    assert " ".join(samples(one.text) for one in pages) == samples(whole.text)
    main = Reader((paged / "report.html").read_bytes())
    assert "651 samples on 3 pages" in main.text
    assert not any(tag[0] == "details" and "data-flags" in tag for tag in main.tags)
    monkeypatch.setattr(page.ReportPages.__init__, "__defaults__", (100,))
    made = report(rich_run(520), [])
    assert isinstance(made, Iterator)
    assert [name for name, _ in made] == [f"report/items-000{n}.html" for n in (1, 2, 3)] + ["report.html"]


@pytest.mark.browser
def test_the_main_page_finds_and_sorts_samples_of_all_pages(browser, paged):
    with opened(browser, paged / "report.html") as found:
        view = found.page
        view.select_option("#flag", "refused")
        until(view, "document.querySelectorAll('#matches li').length > 0")
        assert (view.locator("#shown").text_content() or "").startswith("1 of 651")
        view.select_option("#flag", "")
        view.fill("#search", "zebra")
        until(view, "document.getElementById('shown').textContent.startsWith('0 of')")
        view.fill("#search", TALK.id)
        until(view, "document.getElementById('shown').textContent.startsWith('1 of')")
        view.fill("#search", "")
        labels = view.locator("#sort option").all_text_contents()
        view.select_option("#sort", label=next(one for one in labels if one.startswith("quality, sft: lowest")))
        until(view, "document.querySelectorAll('#matches li').length === 200")
        lowest = view.locator("#matches a").first
        href = lowest.get_attribute("href") or ""
        lowest.click()
        until(view, "document.querySelector('details.item[open]') !== null")
        assert view.url.endswith(href)
        assert view.url.startswith((paged / "report").as_uri())
        assert (found.noise, found.violations) == ([], [])


@pytest.mark.browser
def test_a_permalink_to_the_main_page_leads_to_the_samples_own_page(browser, paged):
    with opened(browser, paged / "report.html") as found:
        found.page.goto("about:blank")
        found.page.goto(f"{(paged / 'report.html').as_uri()}#item-600")
        until(found.page, "location.href.endsWith('report/items-0003.html#item-600')")
        until(found.page, "document.getElementById('item-600').open")


@pytest.mark.browser
def test_without_javascript_the_pages_are_linked(browser, paged):
    with opened(browser, paged / "report.html", watch=False, java_script_enabled=False) as found:
        found.page.locator("#samples summary").click()
        found.page.locator("ul.pages a").nth(1).click()
        assert found.page.url.endswith("report/items-0002.html")
        assert found.page.locator("#item-251").is_visible()
        found.page.get_by_role("link", name="Next").click()
        assert found.page.url.endswith("report/items-0003.html")


# --- one page ---------------------------------------------------------------------------------------------------------


@pytest.mark.browser
def test_samples_that_changed_are_found_and_sorted(browser, tmp_path):
    path = tmp_path / "report.html"
    path.write_bytes(files(rich_run())["report.html"])
    with opened(browser, path) as found:
        view = found.page
        view.evaluate(UNFOLD)
        view.select_option("#flag", "worse")
        until(view, "!document.getElementById('shown').textContent.startsWith('51 of')")
        shown = view.locator("details.item:visible")
        assert shown.count() > 0
        assert all("since the baseline" in text for text in shown.all_text_contents())
        view.select_option("#flag", "")
        labels = view.locator("#sort option").all_text_contents()
        view.select_option("#sort", label=next(one for one in labels if one == "quality, base: highest first"))
        until(view, "document.querySelector('details.item').id !== 'item-1'")
        values = view.evaluate(
            "Array.from(document.querySelectorAll('details.item')).map((i) => i.dataset.values.split('|')[1])"
        )
        numbers = [float(one) for one in values if one]
        assert numbers == sorted(numbers, reverse=True)
        assert all(one == "" for one in values[len(numbers) :])


def test_all_that_a_run_may_have_is_shown():
    text = Reader(files(rich_run())["report.html"]).text
    for words in (
        "Gate FAIL: 3 rules against the baseline quickstart-1a2b3c",
        "quality of sft changed by −4.2 [−6.9, −1.5], with a margin of 3.0",
        "the limit 0.75 lies inside the interval",
        "2 samples are in the baseline alone",
        "asked without the parameter seed, which the server refuses (69 replies)",
        STEP,
        "Verdicts by status",
        "SE of a rerun",
        "The dashed line is chance, 25.0",
        "learning rate went from",
        "A shrew, I would say.",
        "And a small one?",
        "You are a zoo keeper.",
        "Pearson's r",
        "the dashed line is the gate's margin, −3.0",
        "What changed since the baseline",
        "captured 0.93",
        "Labels lie furthest from the judge where it says 80.0 – 100.0 (14 responses): its mean there is 92.0, the "
        "labels' 74.0 [65.0, 82.0].",
    ):
        assert words in text.replace("\N{NARROW NO-BREAK SPACE}", " "), words


def test_sections_stand_in_their_place_and_the_docs_example_is_drawn(checkout):
    text = files(rich_run())["report.html"].decode()
    found = re.findall(r'<section id="(\w+)"', text)
    order = ["verdict", "baseline", "results", "differences", "distributions", "pairwise", "judges", "agreement",
             "choices", "training", "samples", "errors", "method"]  # fmt: skip
    assert found == order
    section = judgekit.Section("mine", "Mine alone", "A sentence.", place="judges")
    placed = dict(report(rich_run(), [section]))["report.html"].decode()
    assert "Mine alone" in placed.partition('id="judges"')[2].partition("</section>")[0]
    text = (checkout / "docs" / "report.md").read_text("utf-8")
    source = text.partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(compile(source, "docs/report.md", "exec"), names)
    (section,) = names["judgekit_report_sections"](sample_run(8))
    made = Reader(dict(report(sample_run(8), [section]))["report.html"]).text
    spread = made.partition("How the scores spread")[2].partition("Wins, ties and losses")[0]
    assert "How long the answers are" in spread


@pytest.mark.slow
def test_the_command_takes_the_wishes(tmp_path):
    view = rich_run(12)
    folder = RunFolder(tmp_path / "run")
    kept = {"samples.jsonl": folder.samples.write(view.samples), "rows.jsonl": folder.rows.write(view.rows)}
    for system in view.record.systems:
        mine = [one for one in view.responses if one.system == system]
        kept[f"responses/{system}.jsonl"] = folder.responses(system).write(mine)
    folder.write_record(view.record.model_copy(update={"gate": None, "files": kept}))

    def made(*flags):
        command = [sys.executable, "-m", "judgekit", "report", str(folder.path), "--format", "html", *flags]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return (folder.path / "report.html").read_bytes()

    plain = made()
    assert made() == plain
    assert b"Rewrite it in the passive voice." in plain
    assert b"Rewrite it in the passive voice." not in made("--redact")
    assert b"vegaEmbed" in made("--interactive")
    assert made() == plain


def test_a_baseline_that_has_nothing_of_the_run_is_an_error(tmp_path, capsys):
    run, other = (a_run(tmp_path / name, {name: {"sft": [50.0, 60.0]}}) for name in ("quality", "rouge"))
    for folder in (run, other):
        assert execute(["baseline", "set", str(folder), str(tmp_path / f"{folder.name}.json")]) == 0
    words = ("report", str(run), "--format", "json", "--baseline")
    assert execute([*words, str(tmp_path / "quality.json")]) == 0
    assert execute([*words, str(tmp_path / "rouge.json")]) == 2
    assert "rouge.json: has no item of this run's metrics and systems" in capsys.readouterr().err


# --- the speed of a training ------------------------------------------------------------------------------------------
