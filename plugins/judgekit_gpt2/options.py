"""The options of the trainers, as they stand in a config. No torch here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

import judgekit
import judgekit.data
from judgekit_gpt2.config import GPT2_VOCABULARY, PRESETS, GPT2Config

Target = Literal["qkv", "out", "up", "down"]

# "Build a Large Language Model (From Scratch)", chapter 7 (Raschka, 2024).
BOOK: dict[str, Any] = {
    "style": "book",
    "mask_prompt": False,
    "order": "shuffled",
    "drop_last": True,
    "batch": 8,
    "epochs": 2,
    "lr": 5e-5,
    "warmup": 0,
    "schedule": "constant",
    "weight_decay": 0.1,
    "decay": "all",
    "betas": (0.9, 0.999),
    "clip": None,
    "dropout": 0.0,
    "evaluate_every": 5,
    "evaluate_batches": 5,
    "precision": "float32",
    "seed": 123,
}


class Shape(judgekit.Options):
    """A model's sizes; what is not given is as in the 124M GPT-2. `tied` false: an output layer of its own."""

    layers: int = Field(12, ge=1)
    heads: int = Field(12, ge=1)
    width: int = Field(768, ge=1)
    context: int = Field(1024, ge=2)
    dropout: float = Field(0.1, ge=0, lt=1)
    tied: bool = True

    @model_validator(mode="after")
    def _possible(self) -> Shape:
        self.config(GPT2_VOCABULARY)
        return self

    def config(self, vocabulary: int) -> GPT2Config:
        """These sizes with a vocabulary of that many tokens."""
        return GPT2Config(vocabulary=vocabulary, **self.model_dump())


class TokenizerOptions(judgekit.Options):
    """GPT-2's (found by itself, or in `folder`), or with `bpe` a byte-level BPE of so many tokens, learnt from the
    training text, and from the train split of `instructions` as fine-tuning in `style` will render it."""

    folder: str | None = None
    bpe: int | None = Field(None, ge=257)
    instructions: str | None = None
    style: str = "alpaca"

    @model_validator(mode="after")
    def _learnt(self) -> TokenizerOptions:
        if self.instructions is not None and self.bpe is None:
            raise ValueError("'instructions' are for learning a vocabulary: give its size as 'bpe'")
        if self.folder is not None and self.bpe is not None:
            raise ValueError("give 'folder' or 'bpe', not both")
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
    """The options that all trainers share.

    `lr` None is the trainer's own: 6e-4 from random weights, 5e-5 for fine-tuning, 5e-6 for preferences, and ten times
    as much for adapters alone. How long: one of `epochs` and `steps`; `warmup` is a share of the steps, `patience` ends
    the training after so many evaluations without a better one. A step takes `accumulate` batches of `batch` rows.
    `decay`: which weights decay. `precision` auto is bfloat16 (autocast; the weights stay float32) where the machine
    has instructions for it. `evaluate_every` steps the losses are written, over at most `evaluate_batches` held-out
    batches; at each epoch's end the model answers `samples` held-out items. Beside the `result`, the last or the best
    checkpoint, the other one is kept, and with `keep_epochs` one of every epoch. `save_every` steps (by default by the
    clock) the state is saved from which a killed training goes on. `sharding` full spreads the weights over torchrun's
    processes (FSDP).
    """

    epochs: float | None = Field(None, gt=0)
    steps: int | None = Field(None, ge=1)
    batch: int = Field(8, ge=1)
    accumulate: int = Field(1, ge=1)
    lr: float | None = Field(None, gt=0)
    warmup: float = Field(0.05, ge=0, lt=1)
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: float = Field(0.1, ge=0)
    decay: Literal["matrices", "all"] = "matrices"
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.95)
    clip: float | None = Field(1.0, gt=0)
    evaluate_every: int | None = Field(None, ge=1)
    evaluate_batches: int | None = Field(None, ge=1)
    samples: int = Field(1, ge=0)
    patience: int | None = Field(None, ge=1)
    result: Literal["last", "best"] = "last"
    keep_epochs: bool = False
    save_every: int | None = Field(None, ge=1)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    sharding: Literal["none", "full"] = "none"
    seed: int = Field(0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _one_length(self) -> RecipeOptions:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("give 'epochs' or 'steps', not both")
        return self


class PretrainOptions(RecipeOptions):
    """`data`: text files whose documents <|endoftext|> sets apart, or JSON, JSONL and tables of them, each in the field
    `field` (None: text, content, document or body). `validation` is the share of them held out (a twentieth, if there
    are enough). Rows begin every `stride` tokens (by default the model's context: each token is once a target)."""

    data: Annotated[tuple[str, ...], BeforeValidator(_several, json_schema_input_type=str | tuple[str, ...])]
    model: Annotated[Shape, BeforeValidator(_named_shape, json_schema_input_type=str | Shape)] = Shape()
    tokenizer: Annotated[
        TokenizerOptions,
        BeforeValidator(_named_vocabulary, json_schema_input_type=Literal["gpt2"] | TokenizerOptions),
    ] = TokenizerOptions()
    field: str | None = None
    stride: int | None = Field(None, ge=1)
    validation: float | None = Field(None, ge=0, lt=0.5)


class Adapters(judgekit.Options):
    """LoRA: the `rank` r of the adapters, their weight `alpha` / r, the matrices of every block that get one, and the
    dropout on what goes in. Defaults as in "Build a Large Language Model (From Scratch)", appendix E."""

    rank: int = Field(16, ge=1)
    alpha: float = Field(16.0, gt=0, allow_inf_nan=False)
    targets: tuple[Target, ...] = Field(("qkv", "out", "up", "down"), min_length=1)
    dropout: float = Field(0.0, ge=0, lt=1)


class TuneOptions(judgekit.data.TrainingDataOptions, RecipeOptions):
    """`from`: the checkpoint to start with. `data`: JSON or JSONL; its `format` (alpaca, dolly, sharegpt, messages) is
    seen from its items. `split` None learns all of it, `validation` None holds nothing out. `style`: how a conversation
    becomes text. Items longer than the context are an error, or with `truncate` lose their end, and are counted. `lora`
    trains adapters alone, which are merged into the checkpoint. `order`: batches of similar lengths, or of any."""

    start: str = Field(alias="from")
    style: str = "alpaca"
    truncate: bool = False
    dropout: float | None = Field(None, ge=0, lt=1)
    order: Literal["bucketed", "shuffled"] = "bucketed"
    drop_last: bool = False
    lora: Adapters | None = None


class FinetuneOptions(TuneOptions):
    """Instruction data, of one turn or several. `preset: book` is the recipe of "Build a Large Language Model (From
    Scratch)", chapter 7; what is given beside it counts before it. `mask_prompt` learns what the assistant says alone;
    false, all tokens. `learn` last learns the last answer of each conversation alone, all before it is read."""

    preset: Literal["book"] | None = None
    mask_prompt: bool = True
    learn: judgekit.data.Learn = "all"

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("preset") != "book":
            return values
        length = {"steps", "epochs"} & set(values)
        return {key: value for key, value in BOOK.items() if not (key == "epochs" and length)} | values


class DPOOptions(TuneOptions):
    """Pairs of a `chosen` and a `rejected` response to each instruction. `beta` says how dear it is to leave the
    reference, which is the checkpoint to start with; `smoothing` is the share of labels taken to be wrong; pairs of
    equal responses are an error, or with `skip_equal` left out."""

    skip_equal: bool = False
    beta: float = Field(0.1, gt=0, allow_inf_nan=False)
    smoothing: float = Field(0.0, ge=0, lt=0.5)
    dropout: float | None = Field(0.0, ge=0, lt=1)  # noise in what is compared with the reference
    weight_decay: float = Field(0.01, ge=0)
