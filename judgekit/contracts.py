"""The base classes that plugins fill in. Each is small: one blocking method does the work."""

from __future__ import annotations

import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, JsonValue

from judgekit.errors import UsageError
from judgekit.records import Problem, Reply, Request, Response, Row, Sample, Section, Series, Verdict

if TYPE_CHECKING:
    from judgekit.records import RunView


class Options(BaseModel):
    """The keys a plugin understands in the config; unknown keys are refused with a "did you mean"."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Configured:
    """Anything built from its part of the config. `where` is the folder that relative paths start from."""

    Options: ClassVar[type[Options]] = Options

    def __init__(self, options: Any = None, where: Path = Path()) -> None:
        self.options = options if options is not None else self.Options()
        self.where = where

    def path(self, value: str | Path) -> Path:
        """A path from the config, resolved against the config's folder. Raises UsageError for a NUL in it."""
        if "\0" in str(value):
            raise UsageError(f"{str(value)!r} is no path")
        return self.where / Path(value).expanduser()


class Backend(Configured, ABC):
    """What answers a prompt. A system under test and a judge are both served by one.

    `generate` and `loglikelihood` take at most `max_batch` requests and are called from at most
    `max_concurrency` threads (None: the run's -j). They return one reply a request, in order; they raise
    CallError when these requests failed, BackendError when no request can succeed.
    Heavy imports and model loading belong inside these methods: a run answered by the ledger never calls them.
    """

    # Also: loglikelihood, logprobs (of generated tokens), schema, seed, stored.
    capabilities: ClassVar[frozenset[str]] = frozenset({"generate"})
    max_batch: int = 1
    max_concurrency: int | None = None
    default_style: ClassVar[str] = "plain"  # how a sample becomes a prompt: prompts/instruction/<style>.j2
    default_prompts: ClassVar[Mapping[str, str]] = {}  # judge prompt by task: {"score": …, "pairwise": …}

    def identity(self) -> dict[str, JsonValue]:
        """All that can change an answer besides the request: weights hash or server digest, adapter version.

        By default the class, its options and a hash of the file that it is written in: an edited plugin asks anew.
        """
        source = inspect.getsourcefile(type(self))
        code = hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else ""
        name = f"{type(self).__module__}.{type(self).__qualname__}"
        return {"class": name, "code": code, **self.options.model_dump(mode="json")}

    def check(self) -> list[Problem]:
        """Preflight: what would make every call fail (a missing file, a server that is down), found cheaply."""
        return []

    def doctor(self) -> Iterable[tuple[str, bool | None, str]]:
        """Lines for `judgekit doctor`: (what, good / bad / unknown, the finding and how to mend it)."""
        return [(problem.where, problem.severity != "error", problem.message) for problem in self.check()]

    @abstractmethod
    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request. A reply with status `error` marks a single request of the batch as failed."""

    def loglikelihood(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request, with the log-probabilities of each of its `continuations`."""
        raise NotImplementedError(f"{type(self).__name__} offers no log-likelihoods")

    def rest(self) -> None:
        """Free what can be loaded again: another backend is about to compute on the same machine."""

    def close(self) -> None:
        """Free everything; nothing is asked any more."""


class DataLoader(Configured, ABC):
    """Reads a data set."""

    @abstractmethod
    def inputs(self) -> list[Path]:
        """The files whose content decides the samples, for the run's fingerprint."""

    @abstractmethod
    def load(self) -> Iterator[Sample]:
        """The samples in file order. Raises DataError with file and place."""

    def shots(self, sample: Sample) -> Sequence[Sample]:
        """Worked examples to show before this sample, in order (few-shot prompts); none by default."""
        return ()


class Trainer(Configured, ABC):
    """Makes a checkpoint folder. The same options and input bytes must give the same weights."""

    version: ClassVar[str] = "1"  # part of the checkpoint's key; raise it when the weights would change
    resumes: ClassVar[bool] = False  # whether `train` goes on from what a killed training left in the folder

    @abstractmethod
    def inputs(self) -> list[Path]:
        """The files whose content decides the weights, besides other trainers' checkpoints."""

    @abstractmethod
    def train(self, into: Path, progress: Callable[[int, int, str], None]) -> None:
        """Write the checkpoint into a folder: empty, or (if the trainer `resumes`) as a killed training left it.

        Two files in it are read by the core and shown in the report, if they are there: `training.jsonl` (CurvePoint
        lines) and `samples.jsonl` (TrainingSample lines). `progress(done, total, note)` may be called at every step;
        it raises Interrupted when the run is to end.
        """


class Judge(Protocol):
    """What a metric asks. One verdict an item, in order."""

    @property
    def name(self) -> str:
        """As in the config."""

    @property
    def order_free(self) -> bool:
        """Whether `compare` reads each response on its own, so that both orders agree by construction."""

    def score(self, items: Iterable[tuple[Sample, str, int]]) -> Iterator[Verdict]:
        """Verdicts on (sample, response text, judge repeat), on the judge's scale."""

    def compare(self, items: Iterable[tuple[Sample, str, str, int]]) -> Iterator[tuple[Verdict, Verdict]]:
        """Verdicts on (sample, response a, response b, judge repeat), asked in both orders.

        Each value is the preference for a in [0, 1]; the first verdict showed a first, the second b.
        """


class Study(Protocol):
    """What the runner gives a metric: samples, responses, and ways to ask."""

    @property
    def samples(self) -> Sequence[Sample]:
        """The metric's samples, in order."""

    @property
    def systems(self) -> tuple[str, ...]:
        """The systems to measure."""

    @property
    def judge(self) -> Judge | None:
        """The metric's judge; there where the metric needs one."""

    @property
    def judge_repeats(self) -> int:
        """How often each response is judged."""

    def responses(self, system: str) -> Iterator[tuple[Sample, Response]]:
        """The system's responses by sample, then by repeat."""

    def loglikelihood(self, system: str, requests: Iterable[Request]) -> Iterator[Reply]:
        """Replies of the system's backend, in order."""

    def prompt(self, system: str, sample: Sample) -> str:
        """The sample's instruction as the system is asked it; for metrics that need "prompt"."""

    def shots(self, sample: Sample) -> Sequence[Sample]:
        """Worked examples for this sample's prompt."""

    def render(self, template: str, **context: JsonValue) -> str:
        """A prompt template, rendered."""


class Metric(Configured, ABC):
    """Turns responses into rows. It never computes an interval: the core does, from the rows."""

    # Of the systems: responses, prompt, loglikelihood. Of a judge: score, pairwise. Of the samples: reference, choices.
    needs: ClassVar[frozenset[str]] = frozenset({"responses"})
    series: ClassVar[Mapping[str, Series]]  # "value" is the headline

    def check(self, systems: Sequence[str]) -> list[str]:
        """What is wrong with these options for these systems, in words; found before any call."""
        return []

    def prompts(self) -> Sequence[str]:
        """Names of the templates that `rows` renders: they are part of the run's identity."""
        return ()

    @abstractmethod
    def rows(self, study: Study) -> Iterator[Row]:
        """One row a (system, sample, repeat, judge repeat), in that order; `metric` may be left empty."""


BackendFactory = type[Backend]
DataLoaderFactory = type[DataLoader]
TrainerFactory = type[Trainer]
MetricFactory = type[Metric]
Reporter = Callable[["RunView", Sequence[Section]], Mapping[str, bytes]]
