"""The trainer `transformers-sft`: supervised tuning of a causal model, or of one with an encoder and a decoder, on
instruction data. The Hugging Face Trainer does the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import JsonValue

import judgekit
import judgekit.data
from judgekit_transformers.backend import LIBRARIES, version_of
from judgekit_transformers.checkpoint import deciding, located
from judgekit_transformers.tuning_options import TuningOptions

if TYPE_CHECKING:
    from judgekit_transformers.loading import Loaded
    from judgekit_transformers.tuning_data import Encoding
    from judgekit_transformers.tuning_loop import Respond, TuningRecipe

_POINTS = 20  # on a curve, if the config does not say how often to evaluate
_WRITTEN = 64  # tokens that a model in training writes, at most
_RATES = {"causal": 5e-5, "seq2seq": 3e-4}  # T5 wants more: https://huggingface.co/docs/transformers/model_doc/t5


class SupervisedTuning(judgekit.Trainer):
    """Trains a checkpoint further on instructions and their responses, and saves it in the hub's layout."""

    Options: ClassVar[type[judgekit.Options]] = TuningOptions
    version: ClassVar[str] = "2"
    resumes: ClassVar[bool] = True
    options: TuningOptions

    def inputs(self) -> list[Path]:
        """The data, a style of one's own, and the files of the checkpoint to start with if it is there already.

        Raises CheckpointError for one that is nowhere and that no training is to make, BackendError without the
        libraries.
        """
        for name in (*LIBRARIES, "accelerate"):
            version_of(name)
        start = self.path(self.options.start)
        # The core names the product of a training by its full path.
        to_be_made = Path(self.options.start).is_absolute() and not start.exists()
        own = [self.path(self.options.data), *judgekit.data.style_files(self.options.style, self.where)]
        return [*own, *([] if to_be_made else deciding(self._start()))]

    def check(self) -> None:
        """Raises DataError for items without an answer, PromptError for an unknown style."""
        judgekit.data.style_named(self.options.style, judgekit.data.Prompts(where=self.where))
        self._items(self.options.split)
        self._held()

    def learnt(self) -> list[judgekit.Sample]:
        return [one.sample for one in self._items(self.options.split)]

    def train(self, into: Path, progress: Callable[[int, int, str], None]) -> None:
        """Raises DataError, CheckpointError, StorageError, and UsageError when the loss is not finite."""
        from judgekit_transformers.loading import load_apart
        from judgekit_transformers.tuning_data import examples, reading_of
        from judgekit_transformers.tuning_loop import TuningTask, fit

        options, start = self.options, self._start()
        loaded = load_apart(start, "float32", "cuda:0" if judgekit.data.uses_cuda(options.device) else "cpu")
        reading = reading_of(loaded, options, self.where)
        learnt_items, held_items = self._items(options.split), self._held()
        learnt = examples(learnt_items, loaded, reading)
        held = examples(held_items, loaded, reading)
        recipe = self._recipe(loaded, len(learnt))
        cut, items = sum(example.cut for example in (*learnt, *held)), len(learnt) + len(held)
        lost = f"{cut:,} of {judgekit.counted(items, 'item')} cut: longer than {reading.limit} tokens" if cut else ""
        summary: dict[str, JsonValue] = {"learnt": len(learnt), "held out": len(held), "cut short": cut}
        if options.lora is not None:
            from judgekit_transformers import adapters

            adapters.attach(loaded.model, options.lora, options.seed)
            count, whole = adapters.trained(loaded.model)
            summary["trained weights"] = f"{count:,} of {whole:,} ({count / whole:.1%})"
        respond = self._respond(loaded, reading, held_items or learnt_items)
        base = options.start if not Path(options.start).is_absolute() else start.name
        task = TuningTask(loaded, start, learnt, held, respond, summary, lost, options.lora, base)
        settings = f"{self.version} {recipe.precision} {options.model_dump_json()}"
        fit(task, recipe, judgekit.data.TrainingState.of(into, settings, self.inputs()), progress)

    def _held(self) -> list[judgekit.data.LearntItem]:
        return self._items(self.options.validation) if self.options.validation else []

    def _items(self, split: judgekit.data.Split | None) -> list[judgekit.data.LearntItem]:
        options = self.options
        path, prompts = self.path(options.data), not options.mask_prompt
        return judgekit.data.read_learnt(path, options, split, learn=options.learn, prompts=prompts)

    def _start(self) -> Path:
        return located(self.options.start, self.path(self.options.start), self.options.revision)

    def _recipe(self, loaded: Loaded, items: int) -> TuningRecipe:
        from judgekit_transformers.tuning_loop import Precision, TuningRecipe

        options, device = self.options, loaded.model.device
        per_epoch = -(-items // (options.batch * options.accumulate))
        steps = options.steps or max(1, round((options.epochs or 1) * per_epoch))
        fast: Precision = "bfloat16" if judgekit.data.gains_from_bfloat16(device) else "float32"
        resolved = {
            "steps": steps,
            "per_epoch": per_epoch,
            "lr": options.lr or _RATES[loaded.kind] * (1 if options.lora is None else 10),
            "warmup": round(options.warmup * steps),
            "precision": fast if options.precision == "auto" else options.precision,
            "evaluate_every": options.evaluate_every or max(1, steps // _POINTS),
        }
        return TuningRecipe(**options.model_dump(include={one.name for one in fields(TuningRecipe)}) | resolved)

    def _respond(self, loaded: Loaded, reading: Encoding, items: Sequence[judgekit.data.LearntItem]) -> Respond:
        """A function that lets the model in training answer the first of these items."""
        options, style = self.options, judgekit.data.style_named(self.options.style, reading.prompts)
        samples = [one.sample for one in items[: options.samples]]
        stop = (style.end.strip(),) if style.end.strip() and not reading.chat else ()
        requests = [
            judgekit.Request(
                messages=judgekit.data.prompt_messages(options.style, sample, (), reading.prompts, chat=reading.chat),
                sampling=judgekit.Sampling(max_new_tokens=_WRITTEN, temperature=0, stop=stop),
            )
            for sample in samples
        ]

        def respond(step: int) -> list[judgekit.data.TrainingSample]:
            from judgekit_transformers.generation import generate

            loaded.margin, loaded.prefix = "not tried", None  # of the weights as they were
            replies = generate(loaded, requests, reading.chat, reading.limit)
            return [
                judgekit.data.TrainingSample(
                    step=step, prompt=request.prompt, text=reply.text, reference=sample.reference
                )
                for sample, request, reply in zip(samples, requests, replies, strict=True)
            ]

        return respond
