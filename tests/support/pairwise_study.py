"""A hand-made study for pairwise metrics: answers by system, and a judge with a table of preferences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from judgekit import Reply, Request, Response, Sample, Verdict

Preference = Callable[[str, str], float]


def longer_wins(a: str, b: str) -> float:
    return 0.5 if len(a) == len(b) else float(len(a) > len(b))


@dataclass
class TableJudge:
    """`first` and `second` are the preferences for the system, shown first and second; None gives no verdict."""

    first: Callable[[str, str], float | None] = longer_wins
    second: Callable[[str, str], float | None] = longer_wins
    name: str = "table"
    order_free: bool = False

    def score(self, items: Iterable[tuple[Sample, str, int]]) -> Iterator[Verdict]:
        raise NotImplementedError

    def compare(self, items: Iterable[tuple[Sample, str, str, int]]) -> Iterator[tuple[Verdict, Verdict]]:
        for _, a, b, _ in items:
            yield _verdict(self.first(a, b)), _verdict(self.second(a, b))


def _verdict(value: float | None) -> Verdict:
    return Verdict(status="unparsed", raw="hm") if value is None else Verdict(status="scored", value=value)


@dataclass
class PairwiseStudy:
    """`answers`: by system, the texts of every sample by repeat; None is an answer that never came."""

    answers: dict[str, list[list[str | None]]]
    judge: TableJudge
    anchor: str
    judge_repeats: int = 1

    @property
    def systems(self) -> tuple[str, ...]:
        return tuple(self.answers)

    @property
    def samples(self) -> Sequence[Sample]:
        return [Sample(id=str(n), instruction=f"Do {n}.") for n in range(len(next(iter(self.answers.values()))))]

    def responses(self, system: str) -> Iterator[tuple[Sample, Response]]:
        for sample, texts in zip(self.samples, self.answers[system], strict=True):
            for repeat, text in enumerate(texts):
                status = "complete" if text is not None else "error"
                yield (
                    sample,
                    Response(system=system, sample_id=sample.id, repeat=repeat, text=text or "", status=status),
                )

    def loglikelihood(self, system: str, requests: Iterable[Request]) -> Iterator[Reply]:
        raise NotImplementedError

    def generate(self, system: str, requests: Iterable[Request]) -> Iterator[Reply]:
        raise NotImplementedError

    def capabilities(self, system: str) -> frozenset[str]:
        return frozenset()

    def prompt(self, system: str, sample: Sample) -> str:
        raise NotImplementedError

    def shots(self, sample: Sample) -> Sequence[Sample]:
        return ()

    def render(self, template: str, **context: object) -> str:
        raise NotImplementedError


def execute(folder: Path, tree: dict[str, object]) -> object:
    """A run of the config in the folder, with the parrots of parrots.py among the plugins; its Outcome."""
    from judgekit.config.blocks import RunConfig
    from judgekit.pipeline.run import Run, Settings
    from judgekit.plugins import build_manager
    from judgekit.testing import ParrotPlugin

    manager = build_manager(
        only=("datasets", "html", "json", "metrics", "readings", "responses"), extra=[ParrotPlugin()]
    )
    settings = Settings(output=folder / "runs", home=folder / "home")
    return Run(RunConfig.model_validate(tree), folder, manager, settings).execute()
