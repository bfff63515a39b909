"""The trainers `gpt2-pretrain` and `gpt2-finetune`: their options, and from these to a checkpoint folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

import judgekit
from judgekit_gpt2 import checkpoint
from judgekit_gpt2.config import GPT2_VOCABULARY, PRESETS, GPT2Config

if TYPE_CHECKING:
    import torch

    from judgekit_gpt2.data import Batch
    from judgekit_gpt2.model import GPT2
    from judgekit_gpt2.tokens import Tokenizer
    from judgekit_gpt2.training import Progress

CURVE = "training.jsonl"
_POINTS = 20  # on a curve, if the config does not say how often to evaluate


class Shape(judgekit.Options):
    """A model's sizes; what is not given is as in the 124M GPT-2."""

    layers: int = Field(12, ge=1)
    heads: int = Field(12, ge=1)
    width: int = Field(768, ge=1)
    context: int = Field(1024, ge=2)
    dropout: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _possible(self) -> Shape:
        self.config(GPT2_VOCABULARY)
        return self

    def config(self, vocabulary: int) -> GPT2Config:
        """These sizes with a vocabulary of that many tokens."""
        return GPT2Config(vocabulary=vocabulary, **self.model_dump())


class Vocabulary(judgekit.Options):
    """GPT-2's, or (with `bpe`) a byte-level BPE of so many tokens, learnt from the training text, and from the train
    split of `instructions` as fine-tuning in `style` will render it."""

    bpe: int | None = Field(None, ge=257)
    instructions: str | None = None
    style: str = "alpaca"

    @model_validator(mode="after")
    def _learnt(self) -> Vocabulary:
        if self.instructions is not None and self.bpe is None:
            raise ValueError("'instructions' are for learning a vocabulary: give its size as 'bpe'")
        return self


def _named_shape(value: Any) -> Any:
    """A preset's name as its sizes."""
    if not isinstance(value, str):
        return value
    if value not in PRESETS:
        raise ValueError(f"no model is named {value!r}; there are {', '.join(PRESETS)}, or give its sizes")
    return {name: getattr(PRESETS[value], name) for name in Shape.model_fields}


def _named_vocabulary(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value != "gpt2":
        raise ValueError(f"no vocabulary is named {value!r}; there is gpt2, or learn one with {{bpe: 2000}}")
    return {}


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class RecipeOptions(judgekit.Options):
    """What both trainers share. One of `epochs` and `steps` says how long; `warmup` is a share of the steps."""

    epochs: float | None = Field(None, gt=0)
    steps: int | None = Field(None, ge=1)
    batch: int = Field(8, ge=1)
    lr: float = Field(gt=0)
    warmup: float = Field(0.05, ge=0, lt=1)
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: float = Field(0.1, ge=0)
    clip: float = Field(1.0, gt=0)
    evaluate_every: int | None = Field(None, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _one_length(self) -> RecipeOptions:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("give 'epochs' or 'steps', not both")
        return self


class PretrainOptions(RecipeOptions):
    """`data`: text files whose documents lines of <|endoftext|> set apart; `validation` is the share held out."""

    data: Annotated[tuple[str, ...], BeforeValidator(_several, json_schema_input_type=str | tuple[str, ...])]
    model: Annotated[Shape, BeforeValidator(_named_shape, json_schema_input_type=str | Shape)] = Shape()
    tokenizer: Annotated[
        Vocabulary, BeforeValidator(_named_vocabulary, json_schema_input_type=Literal["gpt2"] | Vocabulary)
    ] = Vocabulary()
    lr: float = Field(6e-4, gt=0)
    validation: float = Field(0.05, ge=0, lt=0.5)


class FinetuneOptions(RecipeOptions):
    """`from`: the checkpoint to start with. `data`: instruction JSON; `validation` None evaluates nothing.

    The book's recipe is lr 5e-5, schedule constant, warmup 0, batch 8, epochs 2, style book, mask_prompt false.
    """

    start: str = Field(alias="from")
    data: str
    split: Literal["train", "test", "validation"] = "train"
    validation: Literal["train", "test", "validation"] | None = "validation"
    style: str = "alpaca"
    mask_prompt: bool = True
    truncate: bool = False
    dropout: float | None = Field(None, ge=0, lt=1)
    lr: float = Field(5e-5, gt=0)


class Pretrain(judgekit.Trainer):
    """Trains a model from random weights on text."""

    Options: ClassVar[type[judgekit.Options]] = PretrainOptions
    options: PretrainOptions

    def inputs(self) -> list[Path]:
        extra = self.options.tokenizer.instructions
        return [*self._texts(), *([self.path(extra)] if extra else [])]

    def train(self, into: Path, progress: Callable[[int, int, str], None]) -> None:
        checkpoint.require_torch()
        import torch

        from judgekit_gpt2 import data
        from judgekit_gpt2.model import GPT2

        options = self.options
        generator = torch.Generator().manual_seed(options.seed)
        documents = data.read_documents(self._texts())
        tokenizer = self._tokenizer(documents)
        config = options.model.config(tokenizer.size)
        encoded = [torch.tensor([*tokenizer.encode(text), tokenizer.end_of_text]) for text in documents]
        order = torch.randperm(len(encoded), generator=generator).tolist()
        held = round(options.validation * len(encoded))
        learnt = [encoded[index] for index in order[held:]]
        rows = len(self._packed(learnt, config.context, "the text"))
        validation: list[Batch] = []
        if held:
            kept = self._packed([encoded[index] for index in order[:held]], config.context, "the validation share")
            validation = data.packed_batches(kept, options.batch, None)
        model = GPT2(config)
        model.initialise(generator)

        def epoch(generator: torch.Generator) -> Sequence[Batch]:
            return data.packed_batches(data.packed(learnt, config.context, generator), options.batch, generator)

        _fit_and_save(into, model, tokenizer, options, epoch, -(-rows // options.batch), validation, progress)

    def _texts(self) -> list[Path]:
        return [self.path(name) for name in self.options.data]

    def _packed(self, documents: Sequence[torch.Tensor], context: int, what: str) -> torch.Tensor:
        from judgekit_gpt2 import data

        tokens = sum(map(len, documents))
        if tokens <= context:
            raise judgekit.DataError(
                f"{what} has {tokens} tokens, which do not fill one context of {context}; "
                "it needs more text, a shorter context or another share of 'validation'",
                path=self._texts()[0],
            )
        return data.packed(documents, context, None)

    def _tokenizer(self, documents: list[str]) -> Tokenizer:
        from judgekit_gpt2 import bpe
        from judgekit_gpt2.tokens import Tokenizer

        wanted = self.options.tokenizer
        if wanted.bpe is None:
            return Tokenizer.gpt2()
        texts = list(documents)
        if wanted.instructions:
            for item in judgekit.read_instructions(self.path(wanted.instructions), "train"):
                texts += [judgekit.render_instruction(wanted.style, item.sample), item.sample.reference or ""]
        return bpe.train(texts, wanted.bpe)


class Finetune(judgekit.Trainer):
    """Trains a checkpoint further on instructions and their responses."""

    Options: ClassVar[type[judgekit.Options]] = FinetuneOptions
    options: FinetuneOptions

    def inputs(self) -> list[Path]:
        """The data, and the files of the checkpoint to start with if it is there already."""
        start = self.path(self.options.start)
        files = checkpoint.files(start) if start.is_dir() else []
        return [self.path(self.options.data), *files]

    def train(self, into: Path, progress: Callable[[int, int, str], None]) -> None:
        checkpoint.require_torch()
        from judgekit_gpt2 import data, weights

        options = self.options
        model, tokenizer = weights.load(self.path(options.start))
        if options.dropout is not None:
            model = weights.with_dropout(model, options.dropout)

        def examples(split: Literal["train", "test", "validation"]) -> list[data.Example]:
            return data.instruction_examples(
                self.path(options.data),
                split,
                tokenizer,
                style=options.style,
                mask_prompt=options.mask_prompt,
                context=model.config.context,
                truncate=options.truncate,
            )

        def collate(batch: Sequence[data.Example]) -> data.Batch:
            return data.collate(batch, tokenizer.end_of_text, limit=model.config.context)

        learnt = examples(options.split)
        held = sorted(examples(options.validation), key=lambda example: len(example.ids)) if options.validation else []
        validation = [collate(held[at : at + options.batch]) for at in range(0, len(held), options.batch)]

        def epoch(generator: torch.Generator) -> Sequence[Batch]:
            return [collate(batch) for batch in data.bucketed(learnt, options.batch, generator)]

        _fit_and_save(into, model, tokenizer, options, epoch, -(-len(learnt) // options.batch), validation, progress)


def _fit_and_save(
    into: Path,
    model: GPT2,
    tokenizer: Tokenizer,
    options: RecipeOptions,
    epoch: Callable[[torch.Generator], Sequence[Batch]],
    batches: int,
    validation: Sequence[Batch],
    progress: Progress,
) -> None:
    """Train on epochs of `batches` batches each; the loss curve is appended as it comes, the weights at the end."""
    from judgekit_gpt2 import training, weights

    steps = options.steps or max(1, round((options.epochs or 1) * batches))
    recipe = training.Recipe(
        steps=steps,
        lr=options.lr,
        warmup=round(options.warmup * steps),
        schedule=options.schedule,
        weight_decay=options.weight_decay,
        clip=options.clip,
        evaluate_every=options.evaluate_every or max(1, steps // _POINTS),
        seed=options.seed,
    )
    try:
        with (into / CURVE).open("w", encoding="utf-8") as curve:
            for point in training.fit(model, recipe, epoch, validation, progress):
                curve.write(point.model_dump_json() + "\n")
                curve.flush()
    except OSError as error:
        raise judgekit.StorageError(f"cannot be written: {error.strerror}", path=into / CURVE) from None
    weights.save(into, model, tokenizer)
