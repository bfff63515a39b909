"""The options of the trainer `transformers-sft`, as they stand in a config. No torch here."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

import judgekit
import judgekit.data
from judgekit_transformers.trainer_names import in_our_names


class Adapters(judgekit.Options):
    """LoRA: the `rank` r of the adapters, their weight `alpha` / r, the layers that get one (`targets`: names of
    modules, or `all`: every linear layer but the output), and the dropout on what goes in. They are merged into the
    checkpoint; with `keep` they are in its folder `adapter` too, as peft reads them."""

    rank: int = Field(16, ge=1)
    alpha: float = Field(16.0, gt=0, allow_inf_nan=False)
    targets: Literal["all"] | tuple[str, ...] = "all"
    dropout: float = Field(0.0, ge=0, lt=1)
    keep: bool = False


class TuningOptions(judgekit.data.TrainingDataOptions):
    """`from`: what the backend's `model` may be: a model folder, a GGUF file, "smollm2", a hub id in the cache on this
    machine (at `revision`), or "train:NAME". `data`: instruction data, of one turn or several; its `format` (alpaca,
    dolly, sharegpt, messages) is seen from its items, `mapping` has its names of the format's fields. `split` None is
    all of it, `validation` None holds nothing out. `style` and `chat` make prompts as they do for the backend.
    `mask_prompt` learns what the assistant says alone; false, all tokens. `learn` last learns the last answer of each
    conversation alone, all before it is read. An item with more than `max_length` tokens
    (by default what the model reads) is an error, or with `truncate` cut.

    How long: one of `epochs` (1, if neither is given) and `steps`; a step takes `accumulate` batches of `batch` items.
    `lr` None is 5e-5, and for an encoder with a decoder 3e-4; `warmup` is a share of the steps; `clip` is the largest
    norm of the gradient. `precision` auto is bfloat16 (autocast; the weights stay float32) where the machine has
    instructions for it. `evaluate_every` steps the losses are written, over all held-out items; at each epoch's end
    the model answers `samples` of them. `save_every` steps (by default by the clock) the state is saved from which a
    killed training goes on. `lora` trains adapters alone, at ten times the rate. The names of the Hugging Face Trainer
    (num_train_epochs, per_device_train_batch_size, bf16 …) are read, or refused with what there is in their place.
    """

    start: str = Field(alias="from", min_length=1)
    revision: str | None = Field(None, min_length=1)
    style: str = "plain"
    chat: Literal["auto"] | bool = "auto"
    mask_prompt: bool = True
    learn: judgekit.data.Learn = "all"
    truncate: bool = False
    max_length: int | None = Field(None, ge=2)
    epochs: float | None = Field(None, gt=0)
    steps: int | None = Field(None, ge=1)
    batch: int = Field(8, ge=1)
    accumulate: int = Field(1, ge=1)
    lr: float | None = Field(None, gt=0)
    warmup: float = Field(0.05, ge=0, lt=1)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    weight_decay: float = Field(0.0, ge=0)
    clip: float | None = Field(1.0, gt=0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    evaluate_every: int | None = Field(None, ge=1)
    samples: int = Field(3, ge=0)
    save_every: int | None = Field(None, ge=1)
    lora: Adapters | None = None
    seed: int = Field(0, ge=0, lt=2**32)  # what NumPy takes, which the loop seeds too

    @model_validator(mode="before")
    @classmethod
    def _by_other_names(cls, values: Any) -> Any:
        return in_our_names(values) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _one_length(self) -> TuningOptions:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("give 'epochs' or 'steps', not both")
        return self
