"""Costs in words: for `--dry-run`, for the end of a run, and for a run that its budget ended."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from judgekit.calls.budget import Cost, dollars
from judgekit.text import counted

if TYPE_CHECKING:
    from judgekit.calls.budget import PartUse, RunUse
    from judgekit.config.blocks import BudgetConfig
    from judgekit.pipeline.plan import Plan, PlanLine

PLAN_COLUMNS = ("stage", "calls", "in the ledger", "re-asks", "tokens", "cost", "note")


def plan_row(line: PlanLine) -> tuple[str, ...]:
    """A stage of the plan; "unknown" where it could not be rehearsed."""
    asked = line.asked
    if asked is None:
        ledger = "unknown" if line.in_ledger is None and line.calls else "0"
        return line.stage, str(line.calls), ledger, "", "", "", line.note
    out = "no bound" if asked.unbounded else f"{asked.completion_tokens:,}"
    cost = "unknown" if asked.unpriced else dollars(asked.cost.usd)
    tokens, cost = (f"{asked.prompt_tokens:,} + {out}", cost) if asked.prompt_tokens or asked.unbounded else ("0", "–")
    return line.stage, str(line.calls), str(asked.in_ledger), str(asked.again), tokens, cost, line.note


def plan_total(plan: Plan) -> Iterator[str]:
    """The most that the run can take, how that was calculated, and a warning if the budget may end it before."""
    total = plan.total
    out = "replies without a bound" if total.unbounded else f"{total.completion_tokens:,} out"
    cost = f"{dollars(total.cost.usd)}{' and what has no price' if total.unpriced else ''}"
    yield f"At most {counted(total.left, 'call')}, {counted(total.prompt_tokens, 'token')} in and {out}: {cost}"
    if total.prompt_tokens:
        yield (
            "(re-asks, tokens in + out, and cost at their most: a token for each byte of a prompt, and max_new_tokens "
            "for its reply; English prose takes about a quarter)"
        )
    for part in sorted(total.unpriced):
        yield f"No price is known of {part}: price: {{input: …, output: …}} is in USD a million tokens"
    for text in _against(plan.budgeted, plan.budget) if plan.budget is not None else ():
        yield f"The budget may end the run before: {text}"


def _against(cost: Cost, budget: BudgetConfig) -> Iterator[str]:
    if budget.calls is not None and cost.calls > budget.calls:
        yield f"{counted(budget.calls, 'call')}, of at most {cost.calls:,}"
    if budget.tokens is not None and cost.tokens > budget.tokens:
        yield f"{counted(budget.tokens, 'token')}, of at most {cost.tokens:,}"
    if budget.usd is not None and cost.usd > budget.usd:
        yield f"{dollars(budget.usd)}, of at most {dollars(cost.usd)}"


def use_lines(use: RunUse) -> Iterator[str]:
    """The use of this start, a line for each part that reports it, and its share of the budget."""
    for label, part in use.parts.items():
        if part.calls and (part.prompt_tokens or part.completion_tokens or part.usd is not None):
            yield _use_line(label, part)
    if use.said:
        yield f"budget: {', '.join(use.said)} spent"


def _use_line(label: str, part: PartUse) -> str:
    calls = counted(part.calls, "call")
    tokens = f"{counted(part.prompt_tokens, 'token')} in and {part.completion_tokens:,} out"
    cost = f", {dollars(part.usd)}" if part.usd is not None else ""
    silent = part.replies_without_usage
    untold = f" (no usage told by {counted(silent, 'reply', 'replies')})" if silent else ""
    return f"{label} ({part.model}): {calls}, {tokens}{cost}{untold}"


def how_to_go_on(use: RunUse, again: str) -> Iterator[str]:
    """For an incomplete run: why the budget ended it, if it did, and the command that goes on."""
    if not use.stopped:
        yield "The same command asks again for what is missing."
        return
    yield f"The run was stopped: {use.stopped}. Spent: {', '.join(use.said)}."
    yield f"{use.unsent:,} planned calls were not sent (more may follow from their replies); no reply is lost."
    caps = use.spent["caps"]
    keys = [f"budget.{name}={value}" for name, value in caps.items()] if isinstance(caps, dict) else []
    flags = " ".join(f"--set {key}" for key in keys)
    spent = use.spent["spent"]
    nothing = isinstance(spent, dict) and not spent["calls"]
    yield (
        "Not one call fits into it: go on with larger caps than these (--dry-run says the most that is still to pay):"
        if nothing
        else "Each start may spend the whole budget: go on with these caps, or larger ones:"
    )
    yield f"  {again or 'judgekit run'} {flags}"


def command_line(context: click.Context) -> str:
    """The command as it can be typed again: what was given on the command line, without overrides of the budget."""
    words = [*context.command_path.split()]
    for parameter in context.command.params:
        name = parameter.name or ""
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        value = context.params[name]
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(parameter, click.Argument):
                words.append(str(one))
            elif isinstance(parameter, click.Option) and parameter.is_flag:
                words.append(parameter.opts[0])
            elif not str(one).startswith("budget."):
                words += [parameter.opts[-1] if len(parameter.opts) == 1 else parameter.opts[0], str(one)]
    return shlex.join(words)
