"""The backend `gpt2`: a checkpoint that answers and that weighs given continuations."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from pydantic import Field, JsonValue, model_validator

import judgekit
import judgekit.data
from judgekit_gpt2 import checkpoint

if TYPE_CHECKING:
    from judgekit_gpt2.generation import Generation, Prompt
    from judgekit_gpt2.loglikelihood import PrefixScorer
    from judgekit_gpt2.model import GPT2
    from judgekit_gpt2.tokens import Tokenizer
    from judgekit_gpt2.weights import Checkpoint

ADAPTER_VERSION = 3  # part of the identity; raise it when the same weights would answer otherwise
MAX_NEW_TOKENS = 256  # where a request sets none


class GPT2Options(judgekit.Options):
    """`checkpoint` is a folder in the hub's layout. `quantise: int8` keeps the matrices in a quarter of the memory,
    rounded. `threads` None leaves torch's own choice; `batch` is how many sequences grow together.

    `compile` writes one sequence at a time, each of its tokens two to three times as fast: for few prompts or long
    responses. It needs a CPU, a C++ compiler, and half a minute the first time.
    """

    checkpoint: str
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16"] = "float32"
    quantise: Literal["int8"] | None = None
    threads: int | None = Field(None, ge=1)
    batch: int = Field(32, ge=1)
    compile: bool = False

    @model_validator(mode="after")
    def _compiled_for_a_cpu(self) -> GPT2Options:
        if self.compile and self.device != "cpu":
            raise ValueError("'compile' is for device: cpu")
        return self


class _Decoder(NamedTuple):
    """A model that writes, how many sequences it writes together, and the margin of a choice (see
    `inference.margin`)."""

    model: GPT2
    rows: int
    margin: float


class GPT2Backend(judgekit.Backend):
    """The from-scratch GPT-2, from a checkpoint folder.

    Greedy unless the request sets a temperature above 0; a seed that is not set counts as 0.

    Running to `max_new_tokens` is a normal end: the reply is complete and has the note `length`. A reply that the
    model's context ends is truncated, and a prompt that fills it is an error: nothing is ever cut silently.

    A reply does not depend on the other requests, whatever `dtype` and `quantise` say: see `inference.margin`.
    """

    Options: ClassVar[type[judgekit.Options]] = GPT2Options
    options: GPT2Options
    capabilities: ClassVar[frozenset[str]] = frozenset({"generate", "loglikelihood", "logprobs", "seed"})
    free: ClassVar[bool] = True
    default_style: ClassVar[str] = "alpaca"  # as in fine-tuning
    max_concurrency = 1

    def __init__(self, options: GPT2Options, where: Path = Path()) -> None:
        super().__init__(options, where)
        self.max_batch = self.options.batch
        self._folder = self.path(self.options.checkpoint)
        self._identity: str | None = None
        self._loaded: Checkpoint | None = None
        self._written_by: _Decoder | None = None
        self._scorer: PrefixScorer | None = None

    def identity(self) -> dict[str, JsonValue]:
        if self._identity is None:
            self._identity = checkpoint.identity(self._folder)
        return {
            "backend": "gpt2",
            "adapter": ADAPTER_VERSION,
            "weights": self._identity,
            "dtype": self.options.dtype,
            "quantise": self.options.quantise,
            "device": self.options.device,
            "compile": self.options.compile,
        }

    def check(self) -> list[judgekit.Problem]:
        try:
            checkpoint.require_torch()
            if self.options.compile:
                checkpoint.require_compiler(self.options.quantise)
            checkpoint.check(self._folder)
        except judgekit.UsageError as error:
            return [judgekit.Problem(severity="error", where="gpt2", message=str(error), exit_code=error.exit_code)]
        if not self._slowed_down():
            return []
        slow = "this CPU has no arithmetic in bfloat16: float32 is faster, and so is quantise: int8"
        return [judgekit.Problem(severity="warning", where="gpt2", message=slow)]

    def _slowed_down(self) -> bool:
        """Whether products are in bfloat16, on a CPU that has no instructions for them."""
        options = self.options
        if options.device != "cpu" or options.dtype != "bfloat16" or options.quantise or options.compile:
            return False
        import torch

        return not judgekit.data.gains_from_bfloat16(torch.device("cpu"))

    def generate(self, requests: Sequence[judgekit.Request]) -> list[judgekit.Reply]:
        from judgekit_gpt2.generation import generate

        model, tokenizer = self._load()
        writer, rows, margin = self._writing()
        prompts = [self._prompt(request, tokenizer) for request in requests]
        fitting = [prompt for prompt in prompts if len(prompt.ids) < model.config.context]
        written = iter(generate(writer, fitting, tokenizer.end_of_text, rows, margin))
        return [
            _reply(request, prompt, next(written), model.config.context, tokenizer)
            if len(prompt.ids) < model.config.context
            else _too_long(len(prompt.ids), model.config.context)
            for request, prompt in zip(requests, prompts, strict=True)
        ]

    def loglikelihood(self, requests: Sequence[judgekit.Request]) -> list[judgekit.Reply]:
        """Prompt and continuation are encoded apart: a continuation keeps the space that it begins with."""
        from judgekit_gpt2.loglikelihood import Continuations, PrefixScorer

        model, tokenizer = self._load()
        if self._scorer is None:
            self._scorer = PrefixScorer(model)
        questions = [
            Continuations(_encode(request, tokenizer), [tokenizer.encode(text) for text in request.continuations])
            for request in requests
        ]
        lengths = [len(prompt) + max(map(len, texts), default=0) - 1 for prompt, texts in questions]
        context = model.config.context
        fitting = [question for question, length in zip(questions, lengths, strict=True) if length <= context]
        scores = iter(self._scorer.score(fitting))
        return [
            _scored(len(prompt), next(scores)) if length <= context else _too_long(length, context)
            for (prompt, _), length in zip(questions, lengths, strict=True)
        ]

    def close(self) -> None:
        self._loaded = self._written_by = self._scorer = None

    def _writing(self) -> _Decoder:
        if self._written_by is None:
            model, _ = self._load()
            if self.options.compile:
                from judgekit_gpt2.compiled import CompiledGPT2

                self._written_by = _Decoder(CompiledGPT2(model), 1, 0.0)  # alone: there is no batch to depend on
            else:
                from judgekit_gpt2.inference import margin

                self._written_by = _Decoder(model, self.options.batch, margin(model))
        return self._written_by

    def _load(self) -> Checkpoint:
        if self._loaded is None:
            checkpoint.require_torch()
            import torch

            from judgekit_gpt2 import inference, weights

            try:
                torch.empty(0, device=self.options.device)
            except (RuntimeError, AssertionError, NotImplementedError) as error:
                reason = str(error).splitlines()[0]
                raise judgekit.UsageError(f"device {self.options.device!r} cannot be used: {reason}") from None
            if self.options.threads is not None:
                torch.set_num_threads(self.options.threads)
            start = weights.load(self._folder)
            dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[self.options.dtype]
            form = self.options.device, dtype, self.options.quantise, self.options.compile
            self._loaded = start._replace(model=inference.prepare(start.model, *form))
        return self._loaded

    def _prompt(self, request: judgekit.Request, tokenizer: Tokenizer) -> Prompt:
        from judgekit_gpt2.generation import Drawing, Prompt

        sampling = request.sampling
        stops = tuple(stop for stop in sampling.stop if stop)
        return Prompt(
            ids=_encode(request, tokenizer),
            max_new_tokens=sampling.max_new_tokens or MAX_NEW_TOKENS,
            drawing=Drawing(sampling.temperature or 0.0, sampling.top_k, sampling.top_p),
            seed=_seed(request),
            stopped=(lambda ids: any(stop in tokenizer.decode(ids) for stop in stops)) if stops else None,
            alternatives=request.top_logprobs,
        )


def _encode(request: judgekit.Request, tokenizer: Tokenizer) -> list[int]:
    """The prompt's tokens, as training has them; an empty prompt is the beginning of a text."""
    return [token for part in request.parts for token in tokenizer.encode(part)] or [tokenizer.end_of_text]


def _seed(request: judgekit.Request) -> int:
    """From the request's seed and its prompt, so that two prompts do not share their random numbers."""
    content = f"{request.sampling.seed or 0}\0{request.prompt}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "little")


def _reply(
    request: judgekit.Request, prompt: Prompt, written: Generation, context: int, tokenizer: Tokenizer
) -> judgekit.Reply:
    text = tokenizer.decode(written.ids)
    ends = [text.find(stop) for stop in request.sampling.stop if stop and stop in text]
    full = written.finish == "context" and request.sampling.max_new_tokens is not None
    detail = f"the model's context of {context} tokens was full after {len(written.ids)} new ones" if full else ""
    return judgekit.Reply(
        text=text[: min(ends, default=len(text))],
        status="truncated" if full else "complete",
        detail=detail,
        tokens=tuple(_tokens(written, tokenizer)),
        usage=judgekit.Usage(prompt_tokens=len(prompt.ids), completion_tokens=len(written.ids)),
        notes=() if written.finish == "stop" else ("ended at the limit of new tokens",),
    )


def _tokens(written: Generation, tokenizer: Tokenizer) -> Iterator[judgekit.Token]:
    """The tokens with their alternatives, where these were noted. Part of a character shows as U+FFFD."""
    for token, (logprob, top) in zip(written.ids, written.choices, strict=bool(written.choices)):
        alternatives = tuple((tokenizer.decode([other]), value) for other, value in top)
        yield judgekit.Token(text=tokenizer.decode([token]), logprob=logprob, top=alternatives)


def _scored(length: int, values: list[list[float]]) -> judgekit.Reply:
    continuations = tuple(judgekit.Continuation(token_logprobs=tuple(of_tokens)) for of_tokens in values)
    return judgekit.Reply(continuations=continuations, usage=judgekit.Usage(prompt_tokens=length))


def _too_long(length: int, context: int) -> judgekit.Reply:
    # Asked again it would be as long: an answer to keep, not a call that failed.
    return judgekit.Reply(
        status="truncated", detail=f"{length} tokens are too many for the model's context of {context}"
    )
