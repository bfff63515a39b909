"""The base classes that plugins fill in. Each is small: one blocking method does the work."""

from __future__ import annotations

import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, JsonValue

from judgekit.errors import UsageError
from judgekit.files import ordinary
from judgekit.records import Conversation, Message, Reply, Request, Response, Row, Sample, Scale, Verdict
from judgekit.results import Problem, Section

if TYPE_CHECKING:
    from judgekit.calls.work import Answer, Report, Work
    from judgekit.results import RunView
    from judgekit.statistics.aggregate import Aggregate, AggregateTerms, Tables


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
        """A path from the config, resolved against the config's folder. Raises UsageError for a NUL in it, and where a
        device or a pipe is, which may never end."""
        if "\0" in str(value):
            raise UsageError(f"{str(value)!r} is no path")
        path = self.where / Path(value).expanduser()
        try:
            return ordinary(path)
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", path=path) from None


def code_of(made: type) -> dict[str, JsonValue]:
    """The class by name, and the sha256 of the file that it is written in: an edited plugin is another one."""
    source = inspect.getsourcefile(made)
    code = hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else ""
    return {"class": f"{made.__module__}.{made.__qualname__}", "code": code}


# chat: several messages are the turns of a conversation; a backend without it is given the turns as one text.
# logprobs: of generated tokens. stored: answers are looked up, by the sample's id.
CAPABILITIES = frozenset({"generate", "chat", "loglikelihood", "logprobs", "schema", "seed", "stored"})


def _quiet(what: str, done: int, total: int, note: str) -> None:
    pass


@dataclass(frozen=True)
class Errand:
    """What a backend needs to know of some calls when its work on them outlives the process.

    `names`: one a request, its key in the ledger: the same when a killed run is started again, another for another
    repeat, a fresh run or a retry. `folder`, beside the ledger, is for notes on work under way. `report` tells the
    user how far it is, from any thread.
    """

    names: Sequence[str]
    folder: Path | None = None
    report: Callable[[str, int, int, str], None] = _quiet


class Backend(Configured, ABC):
    """What answers a prompt. A system under test and a judge are both served by one.

    `generate` and `loglikelihood` take at most `max_batch` requests and are called from at most
    `max_concurrency` threads (None: the run's -j). They return one reply a request, in order; they raise
    CallError when these requests failed, BackendError when no request can succeed.
    Heavy imports and model loading belong inside these methods: a run answered by the ledger never calls them.
    """

    # --- must ---------------------------------------------------------------------------------------------------------

    @abstractmethod
    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request. A reply with status `error` marks a single request of the batch as failed."""

    # --- may ----------------------------------------------------------------------------------------------------------

    capabilities: ClassVar[frozenset[str]] = frozenset({"generate"})  # those of CAPABILITIES that it has
    max_batch: int = 1
    max_concurrency: int | None = None

    def check(self) -> list[Problem]:
        """Preflight: what would make every call fail (a missing file, a server that is down), found cheaply."""
        return []

    def loglikelihood(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request, with the log-probabilities of each of its `continuations`."""
        raise NotImplementedError(f"{type(self).__name__} offers no log-likelihoods")

    def close(self) -> None:
        """Free everything; nothing is asked any more."""

    # --- rare ---------------------------------------------------------------------------------------------------------

    free: ClassVar[bool] = False  # answering costs no money and asks no server: it is not the budget's business
    limited: bool = True  # whether `limits:` of the config are for its calls
    default_style: ClassVar[str] = "plain"  # how a sample becomes a prompt: prompts/instruct/<style>.j2
    default_prompts: ClassVar[Mapping[str, str]] = {}  # judge prompt by task: {"score": …, "pairwise": …}

    def identity(self) -> dict[str, JsonValue]:
        """All that can change an answer besides the request: weights hash or server digest, adapter version.

        By default the class, its options and a hash of the file that it is written in: an edited plugin asks anew.
        """
        return code_of(type(self)) | self.options.model_dump(mode="json")

    def is_identity(self, known: Mapping[str, JsonValue]) -> bool:
        """Offline, where `identity` raises BackendError: whether `known`, of replies in the ledger, was this backend's.

        For a backend that must ask a server who it is; by what of the identity the options alone decide. Where the
        config gives a name in place of the server's address, `known` has the key `named` and no `server`.
        """
        return False

    def lacks(self, capability: str) -> str:
        """Why one of its `capabilities` is not to be had after all (of an older server, say); "" if it is.

        Asked in preflight, after `check`, of what the run needs.
        """
        return ""

    def known_ids(self) -> Collection[str] | None:
        """The ids of the samples that a `stored` backend knows of, with an answer or without; None: not told.

        A sample that it does not know is an error before any call: systems are compared by the samples' ids.
        """
        return None

    def doctor(self) -> Iterable[tuple[str, bool | None, str]]:
        """Lines for `judgekit doctor`: (what, good / bad / unknown, the finding and how to mend it)."""
        return [(problem.where, problem.severity != "error", problem.message) for problem in self.check()]

    def live_checks(self) -> Iterable[tuple[str, bool | None, str, str]]:
        """Checks of `judgekit doctor --live` beside those that it makes of every backend, in a few short calls: (what,
        holds / judgekit does without / judgekit needs it, what was found, what it means for a run)."""
        return ()

    def context_length(self) -> int | None:
        """The most tokens of a prompt with its reply, where the server tells; asked before `doctor --live`."""
        return None

    def carry_out(self, requests: Sequence[Request], errand: Errand) -> list[Reply]:
        """What a run calls for `generate`; a backend whose work outlives the process overrides it."""
        return self.generate(requests)

    def rest(self) -> None:
        """Free what can be loaded again: another backend is about to compute on the same machine."""


class Executor(ABC):
    """Where the work of backends is carried out: threads of this process, other processes, other machines.

    The core keeps the ledger, the budget and the pace at every server: it calls `carry_out` when a batch may be sent,
    and commits what comes back. What starts slowly (a pool, a cluster) belongs inside `carry_out`, since a run that the
    ledger answers never calls it.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs  # the most calls of one model or judge that are under way at once

    @abstractmethod
    def carry_out(self, work: Work, backend: Backend, report: Report) -> list[Answer]:
        """What `work.carry_out(backend, report)` returns or raises, wherever it is computed; blocks until it is there.

        Called from many threads at once. `backend` is the run's own, for executors in this process; elsewhere
        `work.build()` makes it, once a process. All of `work` and of the answers can be pickled; `report` cannot.
        """

    def close(self) -> None:  # noqa: B027
        """Free everything, without waiting for what is under way: nothing more is carried out."""


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

    def check(self) -> None:
        """Preflight: raise what would end the training, found cheaply: data that cannot be learnt from, say."""

    def learnt(self) -> Iterable[Sample]:
        """The items that it learns to answer, to be held against those that the run tests; none by default."""
        return ()

    @abstractmethod
    def train(self, into: Path, progress: Callable[[int, int, str], None]) -> None:
        """Write the checkpoint into a folder: empty, or (if the trainer `resumes`) as a killed training left it.

        Three files in it are read by the core and shown in the report, if they are there: `training.jsonl` (CurvePoint
        lines), `samples.jsonl` (TrainingSample lines) and `summary.json` (facts by name, such as how many items were
        cut). A measure `tokens` in the first, of the targets learnt from so far, gives the report the training's speed.
        `judgekit.data.TrainingLog` writes them.
        `progress(done, total, note)` may be called at every step; it raises Interrupted when the run is to end.
        """


class Judge(Protocol):
    """What a metric asks. One verdict an item, in order."""

    @property
    def name(self) -> str:
        """As in the config."""

    @property
    def order_free(self) -> bool:
        """Whether `compare` reads each response on its own, so that both orders agree by construction."""

    def score(self, items: Iterable[tuple[Sample, str | Conversation, int]]) -> Iterator[Verdict]:
        """Verdicts on (sample, response text or conversation, judge repeat), on the judge's scale."""

    def compare(
        self, items: Iterable[tuple[Sample, str | Conversation, str | Conversation, int]]
    ) -> Iterator[tuple[Verdict, Verdict]]:
        """Verdicts on (sample, response a, response b, judge repeat), asked in both orders.

        Each value is the preference for a in [0, 1]; the first verdict showed a first, the second b.
        """


class Study(Protocol):
    """What the runner gives a metric: samples, responses, and ways to ask."""

    # --- every metric -------------------------------------------------------------------------------------------------

    @property
    def samples(self) -> Sequence[Sample]:
        """The metric's samples, in order."""

    @property
    def systems(self) -> tuple[str, ...]:
        """The systems to measure."""

    def responses(self, system: str) -> Iterator[tuple[Sample, Response]]:
        """The system's responses by sample, then by repeat."""

    # --- a metric that asks a judge -----------------------------------------------------------------------------------

    @property
    def judge(self) -> Judge | None:
        """The metric's judge; there where the metric needs one."""

    @property
    def judge_repeats(self) -> int:
        """How often each response is judged."""

    @property
    def anchor(self) -> str:
        """The system that others are compared with: the run's `against`, or the first of `systems`."""

    # --- a metric that asks the systems itself ------------------------------------------------------------------------

    def capabilities(self, system: str) -> frozenset[str]:
        """What the system's backend can do."""

    def loglikelihood(self, system: str, requests: Iterable[Request]) -> Iterator[Reply]:
        """Replies of the system's backend, in order."""

    def generate(self, system: str, requests: Iterable[Request]) -> Iterator[Reply]:
        """Answers of the system's backend to a metric's own requests, in order."""

    def prompt(self, system: str, sample: Sample) -> str:
        """The sample's instruction as the system is asked it; for metrics that need "prompt"."""

    def messages(self, system: str, sample: Sample, answers: Sequence[str] = ()) -> tuple[Message, ...]:
        """What the system is asked after these answers to the sample's first turns; for metrics that need "prompt"."""

    def shots(self, sample: Sample) -> Sequence[Sample]:
        """Worked examples for this sample's prompt."""

    def render(self, template: str, **context: JsonValue) -> str:
        """A prompt template, rendered."""


class Metric(Configured, ABC):
    """Turns responses into rows, and the values of their items into numbers.

    class Length(judgekit.Metric):
        series = {"value": judgekit.Scale(label="characters", low=0, high=1000)}

        def rows(self, study):
            for system in study.systems:
                for sample, response in study.responses(system):
                    value = min(len(response.text), 1000)
                    yield judgekit.Row(metric="", system=system, sample_id=sample.id, status="scored", value=value)
    """

    # --- must ---------------------------------------------------------------------------------------------------------

    series: ClassVar[Mapping[str, Scale]]  # of its rows, each a mean over items; "value" is the headline

    @abstractmethod
    def rows(self, study: Study) -> Iterator[Row]:
        """One row a (system, opponent, sample, repeat, judge repeat), in that order; `metric` may be left empty."""

    # --- may ----------------------------------------------------------------------------------------------------------

    # Of the systems: responses, prompt, loglikelihood. Of a judge: score, pairwise. Of the samples: reference, choices.
    needs: ClassVar[frozenset[str]] = frozenset({"responses"})

    def aggregate(self, tables: Tables, terms: AggregateTerms) -> Aggregate:
        """What it says of all items: by default the mean of every series, with its intervals.

        `tables`: series → (system, opponent) → table of item values. Called for all samples, for each part of a
        breakdown and for pooled runs. A metric with a number of its own adds it: its median, say, by
        `judgekit.statistics.resampled`. A headline (series "value") that is no mean of its items, with `bounds`, has
        no paired differences, and no gate with a margin.
        """
        return terms.means(tables)

    def check(self, systems: Mapping[str, frozenset[str]]) -> list[str]:
        """What is wrong with these options for these systems, in words; found before any call. `systems` has the
        capabilities of each one's backend."""
        return []

    def check_samples(self, samples: Sequence[Sample], systems: Sequence[str], whole: bool) -> list[str]:
        """What is wrong with these options for these samples, in words; found before any call. `whole` is false where
        a limit left samples out."""
        return []

    def pairs(self, systems: Sequence[str], anchor: str) -> Sequence[tuple[str, str]]:
        """(system, opponent) of every comparison, for a metric that compares two systems at a time."""
        return ()

    def prompts(self, systems: Mapping[str, frozenset[str]]) -> Sequence[str]:
        """Names of the templates that `rows` renders for these systems: they are part of the run's identity."""
        return ()

    # --- rare ---------------------------------------------------------------------------------------------------------

    prompt_variables: ClassVar[frozenset[str]] = frozenset()  # what `rows` gives its templates; others are refused
    # Series that are shares of single judgements, a tie being a half: `interval: auto` is Wilson's for them.
    shares: ClassVar[frozenset[str]] = frozenset()
    # Series of its rows without a scale: `aggregate` gets them, no report does.
    unscaled: ClassVar[tuple[str, ...]] = ()
    by: ClassVar[tuple[str, ...]] = ()  # fields of the samples by which its results are always broken down
    conversations: ClassVar[bool] = False  # whether `rows` reads all turns of a Sample that has several

    def series_of(self, judged: Mapping[str, Scale]) -> Mapping[str, Scale]:
        """The series of its rows. `judged`: what the value and the further series of its judge's verdicts mean; empty
        where it asks no judge. A metric that is to follow its judge's scale answers with them."""
        return self.series

    def series_on(self, judged: Mapping[str, Scale], samples: Sequence[Sample]) -> Mapping[str, Scale]:
        """The series of its rows on these samples, where they depend on them (a series for each turn)."""
        return self.series_of(judged)

    def given_by(self) -> Mapping[str, str]:
        """Of verdicts that were given elsewhere: who gave them, as part of the instrument; empty for all others."""
        return {}

    def inputs(self) -> list[Path]:
        """The files that the rows depend on besides the samples, for the run's fingerprint."""
        return []

    def by_tokens(self, systems: Mapping[str, frozenset[str]]) -> Collection[str]:
        """Those of the systems whose answers to its own requests it reads by log-probabilities: whether a server gives
        them is tried before anything is generated. `systems` as in `check`."""
        return ()

    def questions(self, sample: Sample) -> int:
        """How often `rows` asks each system about a sample itself, for `--dry-run`; not counting a judge's calls."""
        return int("loglikelihood" in self.needs)


Reporter = Callable[["RunView", Sequence[Section]], Mapping[str, bytes] | Iterator[tuple[str, bytes]]]
"""Pure: (run, sections) → files by name, all at once or, where they are many, one after the other."""
