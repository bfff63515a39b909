"""`judgekit data quality`: a report on instruction data by named rules, and a filter by them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import judgekit
import judgekit.data
from judgekit_instructions.options import (
    as_json,
    check_free,
    force,
    question_of,
    read,
    reading,
    threshold,
    where,
    write,
)

if TYPE_CHECKING:
    from judgekit_instructions.rules import Data, Finding, Rule


def _list(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    """--list-rules: every rule with its reason."""
    if wanted:
        from judgekit_instructions.rules import RULES

        judgekit.print_table("rules", ("rule", "why"), [(rule.name, rule.reason) for rule in RULES.values()])
        context.exit()


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.option("--rules", metavar="RULE,…", help="Only these rules; --list-rules names them.")
@click.option(
    "--list-rules", is_flag=True, is_eager=True, expose_value=False, callback=_list, help="Every rule with its reason."
)
@click.option("--filter", "target", metavar="OUT", type=click.Path(path_type=Path), help="Write what is kept to OUT.")
@click.option("--drop", metavar="RULE,…", help="With --filter: the rules whose items are dropped.")
@click.option("--examples", default=2, show_default=True, type=click.IntRange(0), help="How many to show of each rule.")
@click.option("--min-words", default=1, show_default=True, type=click.IntRange(0), help="Of an output.")
@click.option("--max-words", default=1000, show_default=True, type=click.IntRange(1), help="Of a whole item.")
@click.option("--max-chars", default=8000, show_default=True, type=click.IntRange(1), help="Of a whole item.")
@threshold
@as_json
@reading
@force
def quality(source: Path, rules: str | None, target: Path | None, drop: str | None, **given: Any) -> None:
    """Look at the items of IN by named rules, and measure how varied they are.

    Nothing is judged by a model: each rule is a plain sign, with its reason. With --filter the rules of --drop are used
    one after the other, each on what those before it left.
    """
    from judgekit_instructions.diversity import figures
    from judgekit_instructions.rules import RULES, Data, RuleLimits

    if (target is None) != (drop is None):
        raise judgekit.UsageError("--filter OUT and --drop RULE,… go together: what to write, and what to leave out")
    chosen, dropping = _chosen(rules, RULES), _chosen(drop, RULES) if drop is not None else []
    if target is not None:
        check_free([target], given["force"])
    bad: list[judgekit.DataError] = []
    items = read(source, given, empty=True, bad=bad)
    data = Data(
        items, RuleLimits(**{name: given[name] for name in ("min_words", "max_words", "max_chars", "threshold")})
    )
    findings = {rule.name: list(rule.find(data, range(len(items)))) for rule in chosen}
    report = Report(items, [(rule, findings[rule.name]) for rule in chosen], figures(items), bad)
    filtered = None
    if target is not None:
        kept, dropped = filtered_by(dropping, data)
        if not kept:
            raise judgekit.DataError(f"--drop {drop} leaves none of its {len(items):,} items", path=source)
        write(target, [items[place] for place in kept], items[0].format)
        unread = {UNREADABLE: len(bad)} if bad else {}
        filtered = {"kept": len(kept), "dropped": unread | {rule.name: len(found) for rule, found in dropped}}
    if given["as_json"]:
        click.echo(json.dumps(report.tree(given["examples"]) | ({"filter": filtered} if filtered else {}), indent=1))
        return
    report.print(source, given["examples"])
    if target is not None and filtered is not None:
        _print_filter(target, len(items), filtered)


def _chosen(names: str | None, rules: dict[str, Rule]) -> list[Rule]:
    """The rules of those names, in the table's order. Raises UsageError with a "did you mean"."""
    if names is None:
        return list(rules.values())
    wanted = [name.strip().replace("-", "_") for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in rules:
            raise judgekit.UsageError(f"no rule is named {name!r}{judgekit.one_of(name, rules)}")
    if not wanted:
        raise judgekit.UsageError("no rule is named")
    return [rule for name, rule in rules.items() if name in wanted]


def filtered_by(rules: Sequence[Rule], data: Data) -> tuple[list[int], list[tuple[Rule, list[Finding]]]]:
    """The places that are kept, and the findings of each rule on what the rules before it left."""
    kept = list(range(len(data.items)))
    dropped = []
    for rule in rules:
        findings = list(rule.find(data, kept))
        dropped.append((rule, findings))
        gone = {finding.place for finding in findings}
        kept = [place for place in kept if place not in gone]
    return kept, dropped


UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Report:
    """The findings of each rule, and how varied the items are."""

    items: Sequence[judgekit.data.Item]
    findings: Sequence[tuple[Rule, list[Finding]]]
    figures: dict[str, Any]
    bad: Sequence[judgekit.DataError] = ()  # the rows that could not be read

    @property
    def clean(self) -> int:
        """The number of items without a finding."""
        return len(self.items) - len({finding.place for _, findings in self.findings for finding in findings})

    def tree(self, examples: int) -> dict[str, Any]:
        """The report for programs: the id of every finding's item, and examples with their words."""
        return {
            "items": len(self.items),
            "clean": self.clean,
            **({UNREADABLE: [_said(error) for error in self.bad]} if self.bad else {}),
            "rules": [
                {
                    "name": rule.name,
                    "reason": rule.reason,
                    "count": len(findings),
                    "ids": [self.items[one.place].sample.id for one in findings],
                    "examples": [self._example(finding) for finding in findings[:examples]],
                }
                for rule, findings in self.findings
            ],
            "diversity": self.figures,
        }

    def _example(self, finding: Finding) -> dict[str, Any]:
        item = self.items[finding.place]
        return {"id": item.sample.id, "line": item.line, "place": where(item), "detail": finding.detail}

    def print(self, source: Path, examples: int) -> None:
        """The report for people."""
        rows = []
        for rule, findings in self.findings:
            share = f"{len(findings) / len(self.items):.1%}" if findings else ""
            shown_ones = [self._example(finding) for finding in findings[:examples]]
            lines = [f"{one['place']} ({one['id']}): {one['detail']}" for one in shown_ones]
            asked = len({question_of(self.items[one.place].sample) for one in findings})
            count = f"{len(findings):,}" + (f", {judgekit.counted(asked, 'question')}" if asked < len(findings) else "")
            rows.append((rule.name, count, share, "\n".join(lines), rule.reason if findings else ""))
        if self.bad:
            lines = [_said(error) for error in self.bad[:examples]]
            share = f"{len(self.bad) / (len(self.bad) + len(self.items)):.1%}"
            why = "it is no item, and a filter drops it"
            rows.insert(0, (UNREADABLE, f"{len(self.bad):,}", share, "\n".join(lines), why))
        title = f"{source}: {judgekit.counted(len(self.items), 'item')}, {self.clean:,} without a finding"
        judgekit.print_table(title, ("rule", "items", "share", "such as", "why it counts"), rows)
        judgekit.print_table("how varied they are", ("", ""), _figure_rows(self.figures, len(self.items)))


def _said(error: judgekit.DataError) -> str:
    """Where a row stands, and why it cannot be read."""
    return f"line {error.place.rpartition(':')[2]}: {error.message}"


def _figure_rows(figures: dict[str, Any], count: int) -> list[tuple[str, str]]:
    roots = figures["roots"]
    top = "".join(f", {verb} {noun} {number}" for verb, noun, number in roots["top"]).replace(",", ";", 1)
    rows = [
        ("kinds of task", ", ".join(f"{kind} {number / count:.0%}" for kind, number in figures["kinds"].items())),
        ("verb–noun roots", f"{roots['different']:,} different of {roots['with_root']:,}{top}"),
    ]
    for part, lengths in figures["words"].items():
        text = ", ".join(f"{name} {length:g}" for name, length in lengths.items()) if lengths else "none"
        rows.append((f"words of an {part}", text))
    for part, share in figures["type_token"].items():
        text = "fewer than 1,000 words" if share is None else f"{1000 * share:.0f} of 1,000 words"
        rows.append((f"different words of {part}s", text))
    return rows


def _print_filter(target: Path, count: int, filtered: dict[str, Any]) -> None:
    rows = [(name, f"{dropped:,}") for name, dropped in filtered["dropped"].items()]
    judgekit.print_table(
        f"kept {filtered['kept']:,} of {judgekit.counted(count, 'item')}", ("dropped by", "items"), rows
    )
    click.echo(target)
