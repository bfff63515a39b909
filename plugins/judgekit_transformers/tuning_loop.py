"""The loop: the Hugging Face Trainer, silent and offline, watched step by step.

It draws batches, moves the weights, and saves states. What it is not left to do: the loss, which is the mean over all
targets of a step however that is cut into batches, and what people read of a training: the curve over whole held-out
splits, what the model writes, and how far it is.
"""

from __future__ import annotations

import math
import random
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from pydantic import JsonValue
from torch import Tensor

import judgekit
import judgekit.data
from judgekit_transformers import adapters
from judgekit_transformers.loading import Loaded
from judgekit_transformers.tuning_data import IGNORED, TuningExample, collate
from judgekit_transformers.tuning_options import Adapters

Progress = Callable[[int, int, str], None]
Respond = Callable[[int], Sequence[judgekit.data.TrainingSample]]
Precision = Literal["float32", "bfloat16"]

_SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
_NAMED = 8  # items in a message


def fit(task: TuningTask, recipe: TuningRecipe, state: judgekit.data.TrainingState, progress: Progress) -> None:
    """Train, or go on from the newest state; ends with the checkpoint in the state's folder.

    The curve gets the training loss since the last point, then the validation loss, every `evaluate_every` steps and at
    the end. The same seed, data, libraries and number of threads give the same weights, however often the training was
    stopped in between. Raises UsageError when the loss is not finite, naming step and items; StorageError when the disk
    is full; Interrupted, with the state saved, when `progress` does.
    """
    saved = state.restore(lambda folder: folder)
    with _quiet(task, state):
        watch = _Watch(task, recipe, state, progress)
        watch.trainer = _LoopTrainer(task, recipe, state.states)
        watch.trainer.add_callback(watch)
        watch.trainer.train(resume_from_checkpoint=str(saved) if saved else None)
    _save(task, state.folder)
    state.conclude(task.summary)


@dataclass(frozen=True)
class TuningRecipe:
    """The way to train. `lr` is the peak learning rate, reached after `warmup` steps; it then falls to 0, or stays.
    `clip` is the largest norm of the gradient. A step takes `accumulate` batches of `batch` items. `save_every` (steps)
    None saves the state by the clock."""

    steps: int
    per_epoch: int
    batch: int
    accumulate: int
    lr: float
    warmup: int
    schedule: Literal["cosine", "linear", "constant"]
    weight_decay: float
    clip: float | None
    precision: Precision
    evaluate_every: int
    save_every: int | None
    seed: int


@dataclass(frozen=True)
class TuningTask:
    """The thing to train: a model from `start`, on items; `held` are for the curve. `respond` lets it write, to be read
    by people at each epoch's end; `summary` says of the data what a report shows, `note` is said with every step.
    `lora`: the model has adapters, on the model named `base`."""

    loaded: Loaded
    start: Path
    learnt: Sequence[TuningExample]
    held: Sequence[TuningExample]
    respond: Respond
    summary: Mapping[str, JsonValue] = field(default_factory=dict)
    note: str = ""
    lora: Adapters | None = None
    base: str = ""


class _LoopTrainer(transformers.Trainer):
    """The Trainer on our batches, by our loss. `loss` and `rows`: of the step under way."""

    def __init__(self, task: TuningTask, recipe: TuningRecipe, states: Path) -> None:
        self.task, self.recipe = task, recipe
        self.loss, self.rows = 0.0, list[int]()
        super().__init__(
            model=task.loaded.model,
            args=_arguments(recipe, states, task.loaded.model.device),
            train_dataset=list(enumerate(task.learnt)),
            data_collator=collate,
            compute_loss_func=self.mean_loss,
        )
        self.remove_callback(transformers.PrinterCallback)  # it prints on stdout

    def mean_loss(self, outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
        """The cross-entropy in nats, summed over the targets of a batch, by those of the whole step: a scalar."""
        targets = num_items_in_batch if num_items_in_batch is not None else (labels != IGNORED).sum()
        return _summed(self.task.loaded, outputs["logits"], labels) / targets

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        self.rows += inputs.pop("rows").tolist()
        loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        self.loss += loss.item()
        if not math.isfinite(self.loss):
            raise _not_finite("loss", self.loss, self._where())
        return loss

    def _where(self) -> str:
        """The step under way for a message: its number, the epoch's, and what some of its items are."""
        step = self.state.global_step
        names = [self.task.learnt[row].name for row in self.rows]
        more = ", …" if len(names) > _NAMED else ""
        epoch = step // self.recipe.per_epoch + 1
        return f"step {step + 1} (epoch {epoch}: items {', '.join(names[:_NAMED])}{more})"


def _arguments(recipe: TuningRecipe, folder: Path, device: torch.device) -> transformers.TrainingArguments:
    """Everything the Trainer would report, evaluate or save by itself is off: `_Watch` says when."""
    return transformers.TrainingArguments(
        output_dir=str(folder),
        max_steps=recipe.steps,
        per_device_train_batch_size=recipe.batch,
        gradient_accumulation_steps=recipe.accumulate,
        learning_rate=recipe.lr,
        lr_scheduler_type=_SCHEDULES[recipe.schedule],
        warmup_steps=recipe.warmup,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.clip or 0.0,
        bf16=recipe.precision == "bfloat16",
        use_cpu=device.type == "cpu",
        seed=recipe.seed,
        optim="adamw_torch",
        logging_strategy="no",
        eval_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        log_level="error",
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=False,
    )


class _Watch(transformers.TrainerCallback):
    """The end of each step: the curve, samples, progress, and whether the state is saved."""

    trainer: _LoopTrainer

    def __init__(
        self, task: TuningTask, recipe: TuningRecipe, state: judgekit.data.TrainingState, progress: Progress
    ) -> None:
        self.task, self.recipe, self.state, self.progress = task, recipe, state, progress
        self.interrupted: judgekit.Interrupted | None = None
        self.rate = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 0:
            self._validate(0)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.rate = float(kwargs["optimizer"].param_groups[0]["lr"])  # the schedule is moved before the step's end

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        recipe, counters, step = self.recipe, self.state.counters, int(state.global_step)
        loss, rows = self.trainer.loss, self.trainer.rows
        self.trainer.loss, self.trainer.rows = 0.0, []
        counters.step = step
        counters.since.append(loss)
        counters.weight += sum(self.task.learnt[row].learnt for row in rows)
        if step % recipe.evaluate_every == 0 or step == recipe.steps:
            self._evaluate(step)
        if step % recipe.per_epoch == 0 or step == recipe.steps:
            self._write(step)
        try:
            self.progress(step, recipe.steps, "; ".join(filter(None, (f"loss {loss:.3f}", self.task.note))))
        except judgekit.Interrupted as error:
            self.interrupted = error
        if self.interrupted or (step < recipe.steps and self.state.due(recipe.save_every)):
            control.should_save = True
            self.state.begin()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.state.seal()
        if self.interrupted:
            raise self.interrupted

    def _evaluate(self, step: int) -> None:
        counters = self.state.counters
        loss = math.fsum(counters.since) / len(counters.since)
        counters.since = []
        self._point(step, "train", loss, learning_rate=self.rate, tokens=float(counters.weight))
        self._validate(step)

    @torch.no_grad()
    def _validate(self, step: int) -> None:
        """The mean loss over all held-out targets, which becomes a point of the curve."""
        held, size, model = self.task.held, self.recipe.batch, self.task.loaded.model
        if not held:
            return
        model.eval()
        ordered, total = sorted(held, key=lambda example: len(example.ids)), 0.0
        for at in range(0, len(ordered), size):
            batch = {
                name: tensor.to(model.device)
                for name, tensor in collate(list(enumerate(ordered[at : at + size]))).items()
            }
            labels, _ = batch.pop("labels"), batch.pop("rows")
            total += float(_summed(self.task.loaded, model(**batch).logits, labels))
        loss = total / sum(example.learnt for example in held)
        if not math.isfinite(loss):
            raise _not_finite("loss", loss, f"the validation after step {step}")
        self._point(step, "validation", loss)

    def _point(self, step: int, split: str, loss: float, **measures: float) -> None:
        self.state.log.add(judgekit.data.CurvePoint(step=step, split=split, loss=loss, measures=measures))

    def _write(self, step: int) -> None:
        self.task.loaded.model.eval()
        with torch.random.fork_rng(devices=[]):
            for sample in self.task.respond(step):
                self.state.log.add(sample)


def _summed(loaded: Loaded, logits: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy of logits [B, T, V], in float32, summed over the labels [B, T] that count: a scalar. A causal
    model's logits are of the token after."""
    if loaded.kind == "causal":
        logits, labels = logits[:, :-1], labels[:, 1:]
    counted = labels != IGNORED
    return F.cross_entropy(logits[counted].float(), labels[counted], reduction="sum")


def _not_finite(what: str, value: float, where: str) -> judgekit.UsageError:
    return judgekit.UsageError(
        f"the {what} became {value} at {where}; if the data is sound, "
        "a lower learning rate or a longer warm-up mends it"
    )


def _save(task: TuningTask, into: Path) -> None:
    """The checkpoint in the hub's layout, as safetensors. Raises UsageError for weights that are not finite."""
    model = task.loaded.model
    if not all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters()):
        raise judgekit.UsageError(
            "the weights are no longer finite after the last step; a lower learning rate mends it"
        )
    try:
        if task.lora is not None:
            if task.lora.keep:
                adapters.save(model, into / "adapter", task.lora, task.base, task.loaded.kind)
            adapters.merge(model)
        model.save_pretrained(into)
        task.loaded.tokenizer.save_pretrained(into)
        # What the model was loaded with keeps only what its answers are made of; the folder keeps all it came with.
        settings = task.start / "generation_config.json"
        if settings.is_file():
            shutil.copyfile(settings, into / settings.name)
    except Exception as error:  # safetensors, tokenizers and the system each raise types of their own
        raise judgekit.StorageError(f"the checkpoint cannot be written: {error}", path=into) from None


@contextmanager
def _quiet(task: TuningTask, state: judgekit.data.TrainingState) -> Iterator[None]:
    """The libraries keep silent, and their errors are said in our words. Random numbers that others of this process
    draw, and the model's cache, are then as they were."""
    python, numpy, cached = random.getstate(), np.random.get_state(), task.loaded.model.config.use_cache
    try:
        with torch.random.fork_rng(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except torch.OutOfMemoryError:
        raise judgekit.UsageError(
            f"the memory of {task.loaded.model.device} does not hold a step; a smaller 'batch' with a larger "
            "'accumulate' learns the same, a smaller 'max_length' less"
        ) from None
    except Exception as error:  # PyTorch, safetensors and the system each say in their own way that a disk is full
        if state.saving and not isinstance(error, judgekit.JudgekitError):
            raise judgekit.StorageError(f"the state cannot be written: {error}", path=state.states) from None
        raise
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        task.loaded.model.config.use_cache = cached
