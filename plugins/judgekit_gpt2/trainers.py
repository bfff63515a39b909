"""The trainers `gpt2-pretrain`, `gpt2-finetune` and `gpt2-dpo`: from options to a task, and from it to a checkpoint."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence, Sized
from dataclasses import fields
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

from pydantic import JsonValue

import judgekit
import judgekit.data
from judgekit_gpt2 import chat_template, checkpoint
from judgekit_gpt2.epochs import Lazy, drawing, order_of, spread, writer
from judgekit_gpt2.options import DPOOptions, FinetuneOptions, PretrainOptions, RecipeOptions, TuneOptions
from judgekit_gpt2.preference_file import Preferred, read_preferred

if TYPE_CHECKING:
    from judgekit_gpt2.corpus import Corpus
    from judgekit_gpt2.distributed import Team
    from judgekit_gpt2.model import GPT2
    from judgekit_gpt2.tokens import Tokenizer
    from judgekit_gpt2.training import Portion, Precision, Recipe, Respond, Task
    from judgekit_gpt2.weights import Checkpoint

_POINTS = 20  # on a curve, if the config does not say how often to evaluate
_OPENING = 16  # tokens of a held-out document that a model in pretraining goes on from
_HELD_OUT = 0.05  # of the documents of a pretraining, if the config does not say

R = TypeVar("R", bound=Sized)
_Collate: TypeAlias = "Callable[[Sequence[Any], int, int], Portion]"


class _Trainer(judgekit.Trainer):
    """The common part of the trainers: from a task to a checkpoint, and on from a killed training."""

    version: ClassVar[str] = "3"
    resumes: ClassVar[bool] = True
    own_rate: ClassVar[float]  # the peak learning rate, if the config says none
    options: RecipeOptions
    notes: tuple[str, ...] = ()  # what is to be known of the data, once they have been read

    def train(self, into: Path, progress: Callable[[int, int, str], None]) -> None:
        """Raises DataError, CheckpointError, StorageError, and UsageError when the loss is not finite."""
        checkpoint.require_torch()
        from judgekit_gpt2.distributed import team
        from judgekit_gpt2.training import fit

        with team(self.options.device) as members:
            task = self._task(into, members)
            if not len(task.epoch(0)):
                raise judgekit.DataError("there is not one full batch to train on", path=self.inputs()[0])
            recipe = self._recipe(task, members)
            settings = f"{type(self).__name__} {self.version} {recipe.precision} {self.options.model_dump_json()}"
            state = judgekit.data.TrainingState.of(into, settings, self.inputs())
            fit(task, recipe, state, members, progress)
            if members.rank == 0:
                self._add(into)

    def _add(self, into: Path) -> None:
        """Write what else a checkpoint of this training has. Raises StorageError."""

    def _task(self, into: Path, members: Team) -> Task:
        raise NotImplementedError

    def _recipe(self, task: Task, members: Team) -> Recipe:
        from judgekit_gpt2.training import Recipe

        options = self.options
        per_epoch = -(-len(task.epoch(0)) // options.accumulate)
        steps = options.steps or max(1, round((options.epochs or 1) * per_epoch))
        fast: Precision = "bfloat16" if judgekit.data.gains_from_bfloat16(members.device) else "float32"
        resolved = {
            "steps": steps,
            "lr": self._rate(),
            "warmup": round(options.warmup * steps),
            "evaluate_every": options.evaluate_every or max(1, steps // _POINTS),
            "precision": fast if options.precision == "auto" else options.precision,
        }
        return Recipe(**options.model_dump(include={one.name for one in fields(Recipe)}) | resolved)

    def _rate(self) -> float:
        return self.options.lr or self.own_rate


class Pretrain(_Trainer):
    """Trains a model from random weights on text."""

    Options: ClassVar[type[judgekit.Options]] = PretrainOptions
    own_rate = 6e-4
    options: PretrainOptions

    def inputs(self) -> list[Path]:
        extra = self.options.tokenizer.instructions
        own = [self.path(extra), *judgekit.data.style_files(self.options.tokenizer.style, self.where)] if extra else []
        return [*self._texts(), *own]

    def check(self) -> None:
        """Raises DataError and PromptError for instructions that no vocabulary can be learnt from."""
        deque(self._rendered(), maxlen=0)

    def _task(self, into: Path, members: Team) -> Task:
        import torch

        from judgekit_gpt2 import corpus
        from judgekit_gpt2.model import GPT2
        from judgekit_gpt2.training import NextToken, Task

        options = self.options
        first = torch.Generator().manual_seed(options.seed)
        tokenizer = self._tokenizer()
        config = options.model.config(tokenizer.size)
        share = _HELD_OUT if options.validation is None else options.validation
        learnt, kept = self._corpus(tokenizer, into, members).split(share, first)
        if options.validation and not len(kept):
            documents = judgekit.counted(len(learnt), "document")
            lacking = f"none is left for 'validation: {options.validation}' of {documents}; lines of <|endoftext|> "
            raise judgekit.DataError(f"{lacking}set documents apart", path=self._texts()[0])
        self._require(learnt, config.context, "the text")
        if len(kept):
            self._require(kept, config.context, "the validation share")
        validation = corpus.packed_batches(kept.rows(config.context), options.batch, None)
        model = GPT2(config)
        model.initialise(first)

        def epoch(number: int) -> Sequence[Portion]:
            order = order_of(options.seed, number)
            rows = learnt.rows(config.context, options.stride, order)
            return corpus.packed_batches(rows, options.batch, order)

        seen = kept if len(kept) else learnt
        # Of a short document the first half, so that there is something to go on with.
        cuts = [min(_OPENING, -(-int(length) // 2)) for length in seen.lengths[: options.samples]]
        openings = [(seen.document(number, cut), None) for number, cut in enumerate(cuts)]
        return Task(
            model=model,
            tokenizer=tokenizer,
            objective=NextToken(model),
            epoch=epoch,
            validation=spread(validation, options.evaluate_batches),
            respond=writer(tokenizer, openings),
        )

    def _corpus(self, tokenizer: Tokenizer, into: Path, members: Team) -> Corpus:
        """The text as tokens on disk, written by the leading process alone."""
        from judgekit_gpt2.corpus import Corpus

        folder = into / judgekit.data.TrainingState.FOLDER / "corpus"
        if members.rank == 0:
            Corpus.build(self._texts(), tokenizer, folder, self.options.field)
        members.total(0)  # the others wait for it
        return Corpus.open(folder)

    def _texts(self) -> list[Path]:
        return [self.path(name) for name in self.options.data]

    def _require(self, corpus: Corpus, context: int, what: str) -> None:
        """There is a row to train on. Raises DataError."""
        if corpus.tokens <= context:
            few = f"{what} has {corpus.tokens} tokens, which do not fill one context of {context}"
            advice = "it needs more text, a shorter context or another share of 'validation'"
            raise judgekit.DataError(f"{few}; {advice}", path=self._texts()[0])

    def _tokenizer(self) -> Tokenizer:
        from judgekit_gpt2 import bpe, documents
        from judgekit_gpt2.tokens import Tokenizer

        wanted = self.options.tokenizer
        if wanted.bpe is None:
            return Tokenizer.gpt2(None if wanted.folder is None else self.path(wanted.folder))
        texts = chain((text for text, _ in documents.read_chunks(self._texts(), self.options.field)), self._rendered())
        return bpe.train(texts, wanted.bpe)

    def _rendered(self) -> Iterator[str]:
        """The instructions whose words the vocabulary is to know, as fine-tuning will render them."""
        wanted = self.options.tokenizer
        if wanted.instructions is not None:
            prompts = judgekit.data.Prompts(where=self.where)
            for item in judgekit.data.read_items(self.path(wanted.instructions), split="train"):
                yield from (span.text for span in judgekit.data.render_training(wanted.style, item.sample, prompts))


class _Tuner(_Trainer):
    """The common part of the trainers that start from a checkpoint."""

    options: TuneOptions

    def inputs(self) -> list[Path]:
        """The data, a style of one's own, and the files of the checkpoint to start with if it is there already."""
        start = self.path(self.options.start)
        files = checkpoint.files(start) if start.is_dir() else []
        return [self.path(self.options.data), *judgekit.data.style_files(self.options.style, self.where), *files]

    def check(self) -> None:
        """Raises CheckpointError for a checkpoint to start with that is not there and that no training is to make,
        PromptError for an unknown style, DataError for items that cannot be learnt from."""
        start = self.path(self.options.start)
        # The core names the product of a training by its full path.
        if start.exists() or not Path(self.options.start).is_absolute():
            checkpoint.check(start)
        judgekit.data.style_named(self.options.style, judgekit.data.Prompts(where=self.where))
        self._samples(self.options.split)
        if self.options.validation is not None:
            self._samples(self.options.validation)

    def learnt(self) -> list[judgekit.Sample]:
        return self._samples(self.options.split)

    def _add(self, into: Path) -> None:
        """The style as a chat template, by which `transformers` and its servers ask the model as it was taught."""
        configs = [into / checkpoint.CONFIG, *into.glob(f"*/{checkpoint.CONFIG}")]
        saved = [chat_template.save(path.parent, self.options.style, self.where) for path in configs if path.is_file()]
        if not all(saved):
            self.notes = (
                *self.notes,
                f"no chat template is saved: the style {self.options.style} cannot be put as one",
            )

    def _samples(self, split: judgekit.data.Split | None) -> list[judgekit.Sample]:
        """What is learnt, or held out, of a split. Raises DataError."""
        raise NotImplementedError

    def _task(self, into: Path, members: Team) -> Task:
        from judgekit_gpt2.training import Task

        options = self.options
        model, tokenizer = self._start()
        make, objective = self._objective(model)
        learnt = self._examples(options.split, model, tokenizer)
        held = self._examples(options.validation, model, tokenizer) if options.validation else []
        summary = self._counts(learnt, held, model.config.context)
        if options.lora is not None:
            from judgekit_gpt2 import lora

            lora.attach(model, options.lora, drawing(options.seed))

        def collate(examples: Sequence[Any]) -> Portion:
            return make(examples, tokenizer.end_of_text, model.config.context)

        return Task(
            notes=self.notes,
            summary=summary,
            model=model,
            tokenizer=tokenizer,
            epoch=lambda number: self._epoch(learnt, collate, number),
            validation=self._held_out(held, collate),
            respond=self._answers(tokenizer),
            **objective,
        )

    def _examples(self, split: judgekit.data.Split | None, model: GPT2, tokenizer: Tokenizer) -> Sequence[Any]:
        """What is learnt of a split, as the model is before this training."""
        raise NotImplementedError

    def _rendering(self, model: GPT2) -> dict[str, Any]:
        """What says how items become tokens, whatever is learnt of them."""
        rendering = self.options.model_dump(include={"style", "truncate"})
        return rendering | {"context": model.config.context, "prompts": judgekit.data.Prompts(where=self.where)}

    def _objective(self, model: GPT2) -> tuple[_Collate, dict[str, Any]]:
        """The function that makes a batch of examples, an end of text and a limit of tokens; and the `objective` of
        the task, with how to `measure` it where it is more than a loss."""
        raise NotImplementedError

    def _start(self) -> Checkpoint:
        """The checkpoint to start with, with this training's dropout."""
        from judgekit_gpt2 import weights

        model, tokenizer = weights.load(self.path(self.options.start))
        if self.options.dropout is not None:
            model = weights.with_dropout(model, self.options.dropout)
        return weights.Checkpoint(model, tokenizer)

    def _rate(self) -> float:
        """Adapters begin at nothing and take ten times the rate of whole matrices."""
        return self.options.lr or self.own_rate * (1 if self.options.lora is None else 10)

    def _epoch(
        self, examples: Sequence[R], collate: Callable[[Sequence[R]], Portion], number: int
    ) -> Sequence[Portion]:
        """The batches of pass `number` over the examples, made when they are asked for."""
        from judgekit_gpt2 import data

        options, order = self.options, order_of(self.options.seed, number)
        grouped = data.shuffled if options.order == "shuffled" else data.bucketed
        return Lazy(grouped(examples, options.batch, order, options.drop_last), collate)

    def _held_out(self, examples: Sequence[R], collate: Callable[[Sequence[R]], Portion]) -> Sequence[Portion]:
        """Batches of similar lengths to evaluate on."""
        size = self.options.batch
        ordered = sorted(examples, key=len)
        batches = [collate(ordered[at : at + size]) for at in range(0, len(ordered), size)]
        return spread(batches, self.options.evaluate_batches)

    def _counts(self, learnt: Sequence[Sized], held: Sequence[Sized], context: int) -> dict[str, JsonValue]:
        """The numbers that the report says of the data; that some items lose their end, if any do, is noted too."""
        examples = [*learnt, *held]
        if cut := sum(len(example) > context for example in examples):
            share = f"{cut:,} of {judgekit.counted(len(examples), 'item')}"
            self.notes = (f"{share} cut: longer than the context of {context}",)
        return {"learnt": len(learnt), "held out": len(held), "cut short": cut}

    def _answers(self, tokenizer: Tokenizer) -> Respond:
        """Answers to the first held-out items (or, if none are held out, to the first that are learnt)."""
        options = self.options
        samples = self._samples(options.validation or options.split)[: options.samples]
        prompts = judgekit.data.Prompts(where=self.where)
        asked = [judgekit.data.render_prompt(options.style, sample, prompts=prompts) for sample in samples]
        references = [sample.reference for sample in samples]
        end = judgekit.data.style_named(options.style, prompts).end
        return writer(tokenizer, list(zip(map(tokenizer.encode, asked), references, strict=True)), end)


class Finetune(_Tuner):
    """Trains a checkpoint further on instructions and their responses."""

    Options: ClassVar[type[judgekit.Options]] = FinetuneOptions
    own_rate = 5e-5
    options: FinetuneOptions

    def _samples(self, split: judgekit.data.Split | None) -> list[judgekit.Sample]:
        return [one.sample for one in self._items(split)]

    def _items(self, split: judgekit.data.Split | None) -> list[judgekit.data.LearntItem]:
        options = self.options
        path, prompts = self.path(options.data), not options.mask_prompt
        items = judgekit.data.read_learnt(path, options, split, learn=options.learn, prompts=prompts)
        style = judgekit.data.style_named(options.style, judgekit.data.Prompts(where=self.where))
        for one in items:
            one.check_tools(f"the style {options.style}", style.tools)
        return items

    def _examples(self, split: judgekit.data.Split | None, model: GPT2, tokenizer: Tokenizer) -> Sequence[Any]:
        from judgekit_gpt2 import data

        rendering, masked = self._rendering(model), self.options.mask_prompt
        return data.instruction_examples(self._items(split), tokenizer, mask_prompt=masked, **rendering)

    def _objective(self, model: GPT2) -> tuple[_Collate, dict[str, Any]]:
        from judgekit_gpt2 import data
        from judgekit_gpt2.training import NextToken

        return data.collate, {"objective": NextToken(model)}


class DPO(_Tuner):
    """Trains a checkpoint further to prefer chosen responses over rejected ones (Rafailov et al., 2023)."""

    Options: ClassVar[type[judgekit.Options]] = DPOOptions
    own_rate = 5e-6
    options: DPOOptions

    def _samples(self, split: judgekit.data.Split | None) -> list[judgekit.Sample]:
        return [pair.item.sample for pair in self._pairs(split)]

    def _pairs(self, split: judgekit.data.Split | None) -> list[Preferred]:
        return read_preferred(self.path(self.options.data), self.options, split)

    def _examples(self, split: judgekit.data.Split | None, model: GPT2, tokenizer: Tokenizer) -> Sequence[Any]:
        """The pairs of a split, weighed by the model as it is now, which is the reference."""
        from judgekit_gpt2 import preferences

        options, context = self.options, model.config.context
        given = {"skip_equal": options.skip_equal, **self._rendering(model)}
        pairs = preferences.pairs_of(self._pairs(split), tokenizer, **given)
        return preferences.with_reference(pairs, model, tokenizer.end_of_text, limit=context, size=options.batch)

    def _objective(self, model: GPT2) -> tuple[_Collate, dict[str, Any]]:
        from judgekit_gpt2 import preferences

        objective = preferences.DPOLoss(model, beta=self.options.beta, smoothing=self.options.smoothing)

        return preferences.collate, {"objective": objective, "measure": objective.measure}
