"""A response, criticised and written again by a model, and both scored by a judge: the better one is chosen.

After Self-Refine (Madaan et al., 2023) and Reflection-Tuning (Li et al., 2023); the judge has the last word on whether
the new response is better, and pairs in which it is not are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import judgekit
import judgekit.data
from judgekit_synthesis import filters, work
from judgekit_synthesis.making import Fields, Maker, digest


def command(client: judgekit.Client, source: Path, into: Path, margin: float, given: Mapping[str, Any]) -> int:
    """`judgekit data reflect FILE`, with the other options as they were given."""
    items, batch = work.read_items(source), given["batch"]
    maker = work.maker_for(client, given)
    part = {**judgekit.read_overrides(given["judge_set"]), "backend": given["judge"]}
    judge = client.judge(part, name="--judge-set")
    judged_by = judgekit.data.judge_fingerprint(judge.identity)
    reflection = Reflection(maker, judge, items, margin, batch, judged_by)
    decides = {"items": digest(items), "margin": margin, "batch": batch, "judge": digest(part)}
    return work.carry_out("reflect", maker, into, decides, None, reflection.run)


@dataclass
class Reflection:
    """The work: every item with an output is criticised, written again and judged, `batch` of them at a time."""

    maker: Maker
    judge: judgekit.Judge
    items: Sequence[Fields]
    margin: float = 0.0
    batch: int = 8
    judged_by: str = ""

    def run(self) -> bool:
        """Raises CallFailed."""
        tally = self.maker.tally
        answered = [item for item in self.items if str(item["output"]).strip()]
        tally.reject("an item without an output", len(self.items) - len(answered))
        for start in range(0, len(answered), self.batch):
            self._improve(answered[start : start + self.batch])
            done = min(start + self.batch, len(answered))
            self.maker.client.progress("reflect", done, len(answered), f"{len(tally.kept)} kept")
        return True

    def _improve(self, items: Sequence[Fields]) -> None:
        written = [(item, text) for item, text in zip(items, self._written(items), strict=True) if text]
        responses = [text for item, improved in written for text in (str(item["output"]), improved)]
        samples = [_sample(item) for item, _ in written for _ in range(2)]
        verdicts = list(self.judge.score((sample, text, 0) for sample, text in zip(samples, responses, strict=True)))
        self.maker.look_for_failure(verdict.detail for verdict in verdicts if verdict.status == "error")
        for place, (item, improved) in enumerate(written):
            was, now = verdicts[2 * place].value, verdicts[2 * place + 1].value
            self._take(item, improved, None if was is None or now is None else now - was)

    def _take(self, item: Fields, improved: str, gain: float | None) -> None:
        tally = self.maker.tally
        if gain is None:
            tally.reject("not scored by the judge")
        elif gain <= 0:
            tally.reject("no better, as judged")
        elif gain < self.margin:
            tally.reject("a difference below the margin")
        else:
            asked = {key: item[key] for key in ("id", "instruction", "input", "output")}
            pair = {"chosen": improved, "rejected": item["output"], "margin": gain}
            tally.kept.append({**asked, **pair, judgekit.data.JUDGED_BY: self.judged_by})

    def _written(self, items: Sequence[Fields]) -> list[str]:
        """The new responses; "" where there is none, or the old one again."""
        critiques = self._ask("critiques", "synthesis/critique", [_shown(item) for item in items])
        shown = [
            {**_shown(item), "critique": critique} for item, critique in zip(items, critiques, strict=True) if critique
        ]
        texts = iter(self._ask("responses", "synthesis/improve", shown))
        rewritten = [next(texts) if critique else "" for critique in critiques]
        self.maker.tally.written += sum(map(bool, rewritten))
        same = [
            filters.folded(text) == filters.folded(str(item["output"]))
            for item, text in zip(items, rewritten, strict=True)
        ]
        self.maker.tally.reject("the same response again", sum(same))
        return ["" if again else text for text, again in zip(rewritten, same, strict=True)]

    def _ask(self, stage: str, prompt: str, contexts: Sequence[dict[str, str]]) -> list[str]:
        """One text for each; "" for a reply that was cut off, refused or empty, which is counted."""
        maker = self.maker
        first = maker.tally.asked[stage]
        requests = [
            maker.writer.request(prompt, context, seed=maker.seed + first + place)
            for place, context in enumerate(contexts)
        ]
        texts = []
        for reply in maker.ask(stage, requests):
            fault = filters.reply_fault(reply) or ("" if reply.text.strip() else "reply empty")
            maker.tally.reject(f"{stage}: {fault}", bool(fault))
            texts.append("" if fault else reply.text.strip())
        return texts


def _sample(item: Fields) -> judgekit.Sample:
    """The sample for the judge, without the output: that is one of the two responses."""
    return judgekit.Sample(id=str(item["id"]), instruction=str(item["instruction"]), input=str(item["input"]))


def _shown(item: Fields) -> dict[str, str]:
    return {key: str(item[key]) for key in ("instruction", "input")} | {"response": str(item["output"])}
