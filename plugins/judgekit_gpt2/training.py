"""The training loop: AdamW, warm-up and cosine, clipping, accumulation, evaluation, and a state to go on from.

What is minimised is an objective: a module whose `forward(batch)` is the loss summed over the batch's `weight` (targets
of a language model, pairs of preferences). A step divides that sum by the weight of the whole step, over all of its
batches and all processes, so that how a step is cut up does not change it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self

import torch
import torch.nn.functional as F
from pydantic import JsonValue
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.tensor import DTensor

import judgekit
import judgekit.data
from judgekit_gpt2 import lora, train_state, weights
from judgekit_gpt2.data import IGNORED, Batch
from judgekit_gpt2.distributed import Sharding, Team, accumulating
from judgekit_gpt2.epochs import seed_of
from judgekit_gpt2.model import GPT2
from judgekit_gpt2.tokens import Tokenizer

Progress = Callable[[int, int, str], None]
Respond = Callable[[GPT2, int], Sequence[judgekit.data.TrainingSample]]
Precision = Literal["float32", "bfloat16"]
_NAMED = 8  # rows in a message


def fit(task: Task, recipe: Recipe, state: judgekit.data.TrainingState, team: Team, progress: Progress) -> None:
    """Train, or go on from the newest state; ends with the checkpoint in the state's folder.

    The curve gets the training loss since the last point, then the validation loss, every `evaluate_every` steps and
    at the end. Beside the checkpoint, `best/` (or `last/`) keeps the other one: best is by the validation loss, or by
    the training loss where nothing is held out. The same seed, data, build of torch and number of threads give the
    same weights, however often the training was killed in between.

    Raises UsageError when the loss is not finite, naming step and batch; StorageError when the disk is full.
    """
    with torch.random.fork_rng(devices=[]):
        run = Fitting(task, recipe, state, team, progress)
        if run.counters.step == 0 and task.validation:
            run.validate()
        for batches in run.steps():
            loss = run.step(batches)
            run.log(loss, batches)
        run.finish()


class Fitting:
    """One training on its way through the steps."""

    def __init__(
        self, task: Task, recipe: Recipe, state: judgekit.data.TrainingState, team: Team, progress: Progress
    ) -> None:
        self.task, self.recipe, self.state, self.team, self.progress = task, recipe, state, team, progress
        self.leads = team.rank == 0
        self.trainee = team.prepare(task.objective, recipe.sharding)
        if recipe.compile:
            _compile(task)
        self.optimiser = _optimiser(task.objective, recipe)
        self.per_epoch = -(-len(task.epoch(0)) // recipe.accumulate)
        train_state.restore(state, task.objective, self.optimiser)
        self.counters = state.counters

    def step(self, batches: Sequence[Portion]) -> float:
        """Move the weights once; the mean loss of the whole step, as it was before."""
        self.counters.step += 1
        self._schedule()
        self.trainee.train()
        weight, total = sum(batch.weight for batch in batches), 0.0
        for number, batch in enumerate(batches, start=1):
            with accumulating(self.trainee) if number < len(batches) else nullcontext():
                loss = self._forward(batch)
                total += loss.item()
                # The team averages gradients over its processes; a sum over the targets of all of them is wanted.
                (loss * (self.team.size / weight)).backward()  # type: ignore[no-untyped-call]
        mean = self._finite("loss", self.team.total(total) / weight, self._where(batches))
        self._clip(batches)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.counters.weight += weight
        return mean

    def log(self, loss: float, batches: Sequence[Portion]) -> None:
        """The rest of a step: a point of the curve, the epoch's end, a state, and progress, where they are due."""
        counters, recipe = self.counters, self.recipe
        counters.since.append(loss)
        if counters.step % recipe.evaluate_every == 0 or counters.step == recipe.steps:
            self._evaluate(batches)
        epoch, within = divmod(counters.step, self.per_epoch)
        if within == 0 or self._is_over():
            self._end_of_epoch(epoch if within == 0 else None)
        if not self._is_over() and self._due():
            self._save()
        self._report(loss)

    def steps(self) -> Iterator[list[Portion]]:
        """The batches of each step from where we are, one pass over the data after another."""
        size = self.recipe.accumulate
        while not self._is_over():
            epoch, within = divmod(self.counters.step, self.per_epoch)
            batches = self.task.epoch(epoch)
            for start in range(within * size, len(batches), size):
                if self._is_over():
                    return
                yield [batches[at] for at in range(start, min(start + size, len(batches)))]

    def finish(self) -> None:
        """The checkpoint of the result, and the other one beside it."""
        folder = self.state.folder
        if self.recipe.result == "last":
            self._publish("")
        else:
            self._publish("last")
            if self.leads:
                best, _ = weights.load(folder / "best")
                weights.save(folder, best, self.task.tokenizer)
        if self.leads:
            self.state.conclude(self.task.summary)

    # --- one step ---

    def _schedule(self) -> None:
        """The learning rate of the step, and its random numbers."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate(self.counters.step)
        # Dropout is drawn from the step's number, so that a training that goes on needs no generator's state.
        torch.manual_seed(seed_of(self.recipe.seed, self.counters.step, self.team.rank))

    def _forward(self, batch: Portion) -> Tensor:
        """The summed loss of this process's part of a batch."""
        with torch.autocast(self.team.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16"):
            return self.trainee(batch.part(self.team.rank, self.team.size))  # type: ignore[no-any-return]

    def _where(self, batches: Sequence[Portion]) -> str:
        """A step's place for a message: its number, the epoch's, the batches' in it, and what some of the rows are."""
        epoch, within = divmod(self.counters.step - 1, self.per_epoch)
        first = within * self.recipe.accumulate + 1
        numbers = f"batch {first}" if len(batches) == 1 else f"batches {first} to {first + len(batches) - 1}"
        names = [name for batch in batches for name in batch.names if name]
        more = ", …" if len(names) > _NAMED else ""
        rows = f": items {', '.join(names[:_NAMED])}{more}" if names else ""
        return f"step {self.counters.step} (epoch {epoch + 1}, {numbers}{rows})"

    def _clip(self, batches: Sequence[Portion]) -> None:
        """Scale the gradient down to the recipe's norm. A shorter one is left alone: to multiply by one is to read it
        all again."""
        trained = [parameter for parameter in self.task.objective.parameters() if parameter.grad is not None]
        norm = nn.utils.get_total_norm([parameter.grad for parameter in trained if parameter.grad is not None])
        if isinstance(norm, DTensor):
            norm = norm.full_tensor()
        self._finite("gradient", float(norm), self._where(batches))
        if self.recipe.clip is not None and float(norm) > self.recipe.clip:
            nn.utils.clip_grads_with_norm_(trained, self.recipe.clip, norm)

    def _finite(self, what: str, value: float, where: str) -> float:
        if math.isfinite(value):
            return value
        kept = self.state.folder / "best"
        good = f"; the best checkpoint before is kept in {kept}" if kept.is_dir() else ""
        advice = f"if the data is sound, a lower learning rate or a longer warm-up mends it{good}"
        raise judgekit.UsageError(f"the {what} became {value} at {where}; {advice}")

    # --- after it ---

    def _is_over(self) -> bool:
        """All steps are done, or it has not got better for long enough."""
        counters, patience = self.counters, self.recipe.patience
        return counters.step == self.recipe.steps or (patience is not None and counters.worse >= patience)

    def _report(self, loss: float) -> None:
        """Tell how far it is. If that is answered with an end, in one process or in all, the state is kept."""
        step, steps = self.counters.step, self.recipe.steps
        patience = ", no better for long enough" if self._is_over() and step < steps else ""
        interrupted: judgekit.Interrupted | None = None
        try:
            self.progress(step, steps, "; ".join([f"loss {loss:.3f}{patience}", *self.task.notes]))
        except judgekit.Interrupted as error:
            interrupted = error
        if self.team.total(interrupted is not None):
            self._save()
            raise interrupted or judgekit.Interrupted("stopped with the other processes")

    def validate(self) -> float:
        """The mean loss over all held-out batches, which becomes a point of the curve."""
        loss = self._mean_loss(self.task.validation, f"step {self.counters.step}, validation")
        self._point("validation", loss, **self.task.measure(self.task.validation))
        return loss

    @torch.no_grad()
    def _mean_loss(self, batches: Sequence[Portion], where: str) -> float:
        """Without dropout, every target (or pair) weighing alike."""
        self.trainee.eval()
        total = sum(self._forward(batch).item() for batch in batches)
        return self._finite("loss", self.team.total(total) / sum(batch.weight for batch in batches), where)

    def _evaluate(self, batches: Sequence[Portion]) -> None:
        counters = self.counters
        loss = math.fsum(counters.since) / len(counters.since)
        counters.since = []
        measures = {"learning_rate": self.recipe.learning_rate(counters.step)}
        if isinstance(self.task.objective, NextToken):
            measures["tokens"] = float(counters.weight)
        self._point("train", loss, **measures)
        if self.task.validation:
            loss = self.validate()
        else:  # the mean says nothing of the last update, which may have broken the weights
            loss = max(loss, self._mean_loss(batches, f"{self._where(batches)}, after the update"))
        if counters.best is None or loss < counters.best:
            counters.best, counters.worse = loss, 0
            self._publish("best")
        else:
            counters.worse += 1

    def _point(self, split: str, loss: float, **measures: float) -> None:
        if self.leads:
            point = judgekit.data.CurvePoint(step=self.counters.step, split=split, loss=loss, measures=measures)
            self.state.log.add(point)

    def _end_of_epoch(self, epoch: int | None) -> None:
        """`epoch` None: the training ends within one."""
        if epoch is not None and self.recipe.keep_epochs:
            self._publish(f"epoch-{epoch}")
        if model := self._plain_model():
            for sample in self.task.respond(model, self.counters.step):
                self.state.log.add(sample)

    # --- what is kept ---

    def _plain_model(self) -> GPT2 | None:
        """The model as it is now, in one piece, its adapters merged; None in the processes that do not lead."""
        model, sharded = self.task.model, self.team.size > 1 and self.recipe.sharding == "full"
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        tensors: dict[str, Any] = get_model_state_dict(model, options=options) if sharded else model.state_dict()
        return lora.merged(model, tensors) if self.leads else None

    def _publish(self, name: str) -> None:
        """Write the checkpoint of now as a folder of that name; "" is the training's own folder."""
        if model := self._plain_model():
            if not all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters()):
                raise judgekit.UsageError(f"the weights are no longer finite after step {self.counters.step}")
            weights.save(self.state.folder / name, model, self.task.tokenizer)

    def _due(self) -> bool:
        """Whether to save now; the same answer in every process."""
        due = self.state.due(self.recipe.save_every)
        return due if self.recipe.save_every is not None else self.team.total(due and self.leads) > 0

    def _save(self) -> None:
        train_state.save(self.state, self.task.objective, self.optimiser, self.leads)


class Portion(Protocol):
    """A batch of any objective: what it weighs, what its rows are, and the part of it that one process computes."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def weight(self) -> int: ...

    def part(self, rank: int, ranks: int) -> Self: ...


@dataclass(frozen=True)
class Recipe:
    """The way to train. `lr` is the peak learning rate, reached after `warmup` steps; it then falls to 0 by a cosine,
    or stays where it is. `weight_decay` acts on matrices only, or on all weights; `clip` is the largest norm of the
    gradient. A step takes `accumulate` batches. `patience` ends the training after so many evaluations without a
    better one; `save_every` (steps) None saves the state by the clock."""

    steps: int
    lr: float
    warmup: int
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: float = 0.1
    decay: Literal["matrices", "all"] = "matrices"
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float | None = 1.0
    accumulate: int = 1
    evaluate_every: int = 50
    patience: int | None = None
    save_every: int | None = None
    keep_epochs: bool = False
    result: Literal["last", "best"] = "last"
    precision: Precision = "float32"
    compile: bool = False
    sharding: Sharding = "none"
    seed: int = 0

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step; steps count from 1."""
        if step <= self.warmup:
            return self.lr * step / self.warmup
        if self.schedule == "constant":
            return self.lr
        done = (step - self.warmup) / max(self.steps - self.warmup + 1, 1)
        return self.lr * 0.5 * (1 + math.cos(math.pi * done))


@dataclass
class Task:
    """The thing to train: a model (and its tokenizer, to be saved with it) by an objective that holds it, on batches.

    `epoch(n)` are the batches of pass n, always equally many, and the same whenever it is asked. `measure` says more
    of held-out batches than the loss does. `respond` lets a model write, to be read by people at each epoch's end.
    `notes` are said with every step, and `summary` is what a report says of the data.
    """

    model: GPT2
    tokenizer: Tokenizer
    objective: nn.Module
    epoch: Callable[[int], Sequence[Portion]]
    validation: Sequence[Portion] = ()
    measure: Callable[[Sequence[Any]], Mapping[str, float]] = lambda batches: {}
    respond: Respond = lambda model, step: ()
    notes: tuple[str, ...] = ()
    summary: Mapping[str, JsonValue] = field(default_factory=dict)


class NextToken(nn.Module):
    """The cross-entropy of the next token, in nats, summed over the targets that are not IGNORED."""

    def __init__(self, model: GPT2) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        device = self.model.tokens.weight.device
        targets = batch.targets.flatten().to(device)
        hidden = self.model(batch.inputs.to(device)).flatten(0, 1)
        counted = (targets != IGNORED).nonzero().squeeze(1)
        if len(counted) < len(targets):  # nobody pays for logits that no loss reads
            hidden, targets = hidden.index_select(0, counted), targets.index_select(0, counted)
        return self.head(hidden, targets)

    def head(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """The loss [] of hidden states [N, C] whose targets [N] all count."""
        return F.cross_entropy(self.model.logits(hidden), targets, reduction="sum")


def _compile(task: Task) -> None:
    """Compile the blocks, which share one graph, and the output layer with its loss, whose logits then stay in cache.
    The whole model as one graph took minutes to compile and was no faster."""
    for block in task.model.blocks:
        block.compile()
    if isinstance(task.objective, NextToken):
        task.objective.head = torch.compile(task.objective.head, dynamic=True)  # type: ignore[method-assign]


def _optimiser(objective: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    trained = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in trained if parameter.ndim >= 2 or recipe.decay == "all"]
    others = [parameter for parameter in trained if parameter.ndim < 2 and recipe.decay == "matrices"]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=recipe.betas, fused=True)
