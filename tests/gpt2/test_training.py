"""The loop against plain PyTorch on the reference model, and its promises."""

import copy
import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import judgekit
import judgekit.data
from judgekit_gpt2 import checkpoint, training, weights
from judgekit_gpt2.data import IGNORED, Batch
from judgekit_gpt2.distributed import Team
from judgekit_gpt2.training import NextToken, Recipe, Task
from tiny_training import curve, pretrain, train

ALONE = Team(0, 1, torch.device("cpu"))


def _batches(count):
    generator = torch.Generator().manual_seed(5)
    batches = []
    for number in range(count):
        inputs, targets = (torch.randint(0, 300, (4, 12), generator=generator) for _ in range(2))
        targets[:, : 4 + number % 3] = IGNORED
        batches.append(Batch(inputs, targets, ("a", "b", "c", "d")))
    return batches


@pytest.fixture
def fit(tokenizer, tmp_path):
    """Train in a folder and return the points of the curve."""

    def run(model, batches, validation=(), into="run", epoch=None, progress=lambda *_: None, task=None, **changes):
        folder = tmp_path / into
        folder.mkdir(exist_ok=True)
        recipe = Recipe(**{"steps": len(batches), "lr": 1e-3, "warmup": 4, "evaluate_every": 5, **changes})
        epoch = epoch or (lambda _: batches)
        task = Task(model, tokenizer, NextToken(model), epoch, validation, **task or {})
        training.fit(task, recipe, judgekit.data.TrainingState(folder, "origin"), ALONE, progress)
        return [judgekit.data.CurvePoint.model_validate(point) for point in curve(folder)]

    return run


BOOK = {"warmup": 0, "schedule": "constant", "decay": "all", "betas": (0.9, 0.999), "clip": None}


@pytest.mark.parametrize(("steps", "changes", "learnt"), [(20, {}, 0.1), (6, BOOK, 0.01)])
def test_steps_equal_those_of_the_reference_with_torchs_adamw(model, reference, fit, steps, changes, learnt):
    """Decay on matrices only, clipping and schedule; and as the book has it: decay on all weights alike, a constant
    rate, no clipping."""
    batches = _batches(steps)
    points = fit(weights.with_dropout(copy.deepcopy(model), 0.0), batches, evaluate_every=1, **changes)
    theirs = copy.deepcopy(reference).eval()  # no dropout there either
    recipe = Recipe(**{"steps": steps, "lr": 1e-3, "warmup": 4, **changes})
    matrices, vectors = ([p for p in theirs.parameters() if p.ndim == n] for n in (2, 1))
    decay = 0.1 if recipe.decay == "all" else 0.0
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": decay}]
    optimiser = torch.optim.AdamW(groups, betas=recipe.betas)
    for point, batch in zip(points, batches, strict=True):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate(point.step)
        logits = theirs(batch.inputs).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED)
        assert point.loss == pytest.approx(loss.item(), abs=1e-4)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), recipe.clip or math.inf)
        optimiser.step()
        optimiser.zero_grad()
    assert points[-1].loss != pytest.approx(points[0].loss, abs=learnt), "nothing was learnt, so nothing was compared"


def test_batches_accumulate_to_one_step(fresh, fit):
    """Two half batches a step, whose targets are not equally many, move the weights as the whole batch does."""
    whole = _batches(6)
    for batch in whole:
        batch.targets[:2, :9] = IGNORED
    halves = [batch.part(rank, 2) for batch in whole for rank in (0, 1)]
    one, two = (weights.with_dropout(copy.deepcopy(fresh), 0.0) for _ in range(2))
    points = fit(one, whole, into="one", evaluate_every=1)
    assert [point.loss for point in fit(two, halves, into="two", evaluate_every=1, accumulate=2, steps=6)] == [
        pytest.approx(point.loss, abs=1e-5) for point in points
    ]
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_a_step_may_end_an_epoch_with_fewer_batches(fresh, fit):
    seen = []
    batches = _batches(5)
    fit(fresh, batches, steps=4, accumulate=3, progress=lambda done, total, note: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)], "two steps a pass: three batches and two"


def test_the_same_seed_gives_the_same_weights(fresh, fit):
    first, second, third = (copy.deepcopy(fresh) for _ in range(3))
    points = fit(first, _batches(8), into="a", seed=1)
    assert fit(second, _batches(8), into="b", seed=1) == points
    assert fit(third, _batches(8), into="c", seed=2) != points, "dropout is drawn from the seed"
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_training_leaves_the_global_random_numbers_alone(fresh, fit):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    fit(fresh, _batches(2))
    assert torch.equal(torch.rand(3), expected)


def test_no_logits_are_computed_where_the_target_is_ignored(fresh, monkeypatch):
    seen = []
    monkeypatch.setattr(fresh, "logits", lambda hidden: seen.append(hidden) or hidden @ fresh.tokens.weight.T)
    batch = _batches(1)[0]
    NextToken(fresh)(batch)
    assert seen[0].shape == (int((batch.targets != IGNORED).sum()), 32)
    assert len(seen[0]) == 4 * 8


def test_bfloat16_learns_the_same_but_not_to_the_digit(fresh, fit):
    low, high = (copy.deepcopy(fresh) for _ in range(2))
    batches = _batches(1) * 30
    full = fit(high, batches, into="a", lr=1e-2)
    half = fit(low, batches, into="b", lr=1e-2, precision="bfloat16")
    assert full != half
    assert [point.loss for point in half] == [pytest.approx(point.loss, rel=0.05) for point in full]
    assert low.tokens.weight.dtype == torch.float32


def test_the_curve_has_both_splits_and_learns(fresh, fit):
    batches = _batches(1) * 60
    points = fit(fresh, batches, validation=_batches(1), lr=1e-2, evaluate_every=25)
    assert [(point.step, point.split) for point in points] == [
        (0, "validation"),
        *((step, split) for step in (25, 50, 60) for split in ("train", "validation")),
    ]
    assert points[-1].loss < 0.5 * points[0].loss


def test_validation_weighs_every_target_alike(fresh, fit):
    one, two = _batches(2)
    two.targets[:, :11] = IGNORED
    fresh.eval()
    with torch.no_grad():
        total = sum(NextToken(fresh)(batch).item() for batch in (one, two))
    first = fit(fresh, _batches(1), validation=[one, two])[0]
    assert first.loss == pytest.approx(total / 36), "32 targets and 4"


def test_the_learning_rate_warms_up_and_falls_to_nothing():
    recipe = Recipe(steps=100, lr=1.0, warmup=10)
    rates = [recipe.learning_rate(step) for step in range(1, 101)]
    assert rates[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert all(before > after for before, after in pairwise(rates[9:]))
    assert recipe.learning_rate(55) == pytest.approx(0.5, abs=0.01)
    assert 0 < rates[-1] < 0.001
    constant = Recipe(steps=100, lr=1.0, warmup=0, schedule="constant")
    assert {constant.learning_rate(step) for step in range(1, 101)} == {1.0}


def test_epochs_follow_one_another_until_the_steps_are_done(fresh, fit):
    asked, steps = [], []

    def epoch(number):
        asked.append(number)
        return _batches(3)

    fit(fresh, [], steps=7, epoch=epoch, progress=lambda done, total, note: steps.append((done, total)))
    assert asked == [0, 0, 1, 2], "once for its length"
    assert steps == [(step, 7) for step in range(1, 8)]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_200_steps_in_bfloat16_follow_those_in_float32(tmp_path):
    """The quickstart's model on its text: each point of the curve within 1 %."""
    quickstart = Path(__file__).parents[2] / "examples" / "quickstart"
    curves = {}
    sizes = {"layers": 4, "heads": 8, "width": 256, "context": 128, "dropout": 0.0}
    data = {"data": "data/pretrain.txt", "tokenizer": {"bpe": 2000}}
    for precision in ("float32", "bfloat16"):
        recipe = {"steps": 200, "evaluate_every": 20, "lr": 1e-3, "precision": precision}
        train(pretrain(quickstart, **data, model=sizes, batch=8, **recipe), tmp_path / precision)
        curves[precision] = [point["loss"] for point in curve(tmp_path / precision)]
    worst = max(abs(low / full - 1) for low, full in zip(curves["bfloat16"], curves["float32"], strict=True))
    assert worst < 0.01
    assert curves["float32"][-1] < 0.7 * curves["float32"][0], "nothing was learnt, so nothing was compared"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_compiled_blocks_learn_the_same(fresh, fit):
    """Batches of other lengths too, which must not be compiled anew each time."""
    batches = [batch for length in (12, 9, 11, 7) for batch in _cut(_batches(2), length)]
    one, two = (weights.with_dropout(copy.deepcopy(fresh), 0.0) for _ in range(2))
    plain = fit(one, batches, into="plain", evaluate_every=1)
    compiled = fit(two, batches, into="compiled", evaluate_every=1, compile=True)
    assert [point.loss for point in compiled] == [pytest.approx(point.loss, abs=1e-4) for point in plain]


def _cut(batches, length):
    return [Batch(batch.inputs[:, :length], batch.targets[:, :length], batch.names) for batch in batches]


# --- what is kept ---


def _loss(folder, batch):
    model, _ = weights.load(folder)
    with torch.no_grad():
        return NextToken(model)(batch).item() / batch.weight


@pytest.mark.parametrize(("result", "other"), [("last", "best"), ("best", "last")])
def test_best_and_last_are_kept_and_either_may_be_the_result(fresh, fit, tmp_path, result, other):
    """A rate that is far too high: the last checkpoint is worse than the best."""
    validation = _batches(3)[2:]
    points = fit(fresh, _batches(2) * 10, validation=validation, lr=0.3, evaluate_every=1, result=result)
    losses = [point.loss for point in points if point.split == "validation"][1:]
    expected = {"best": min(losses), "last": losses[-1]}
    assert expected["best"] < expected["last"]
    assert _loss(tmp_path / "run", validation[0]) == pytest.approx(expected[result], abs=1e-4)
    assert _loss(tmp_path / "run" / other, validation[0]) == pytest.approx(expected[other], abs=1e-4)
    assert (tmp_path / "run" / "best").is_dir()


def test_without_validation_the_training_loss_says_what_is_best(fresh, fit, tmp_path):
    fit(fresh, _batches(1) * 10, lr=1e-2, evaluate_every=2)
    assert checkpoint.identity(tmp_path / "run" / "best") == checkpoint.identity(tmp_path / "run")


def test_training_stops_early_when_nothing_gets_better(fresh, fit):
    points = fit(fresh, _batches(2) * 20, validation=_batches(3)[2:], lr=0.3, warmup=0, evaluate_every=1, patience=3)
    losses = [point.loss for point in points if point.split == "validation"][1:]
    assert len(losses) < 40
    assert losses.index(min(losses)) == len(losses) - 4, "three evaluations after the best"


def test_a_checkpoint_of_every_epoch(fresh, fit, tmp_path):
    fit(fresh, _batches(3), steps=7, keep_epochs=True)
    kept = {path.name for path in (tmp_path / "run").iterdir() if path.is_dir()}
    assert kept == {"epoch-1", "epoch-2", "best"}
    identities = {checkpoint.identity(tmp_path / "run" / name) for name in ("epoch-1", "epoch-2", ".")}
    assert len(identities) == 3


def test_the_model_writes_at_each_epochs_end_and_at_the_end(fresh, fit, tmp_path):
    def respond(model, step):
        assert not model.training
        return [judgekit.data.TrainingSample(step=step, prompt="p", text=f"after {step}", reference="r")]

    fit(fresh, _batches(3), steps=7, task={"respond": respond})
    lines = (tmp_path / "run" / "samples.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["after 3", "after 6", "after 7"]


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({}, r"\(epoch 1, batch 1: items a, b, c, d\); if"),
        ({"accumulate": 3, "steps": 2}, r"\(epoch 1, batches 1 to 3: items a, b, c, d, a, b, c, d, …\); if"),
    ],
)
def test_a_loss_that_is_not_finite_stops_and_names_step_and_batch(fresh, fit, options, where):
    batches = _batches(6)
    with torch.no_grad():
        fresh.tokens.weight[batches[0].inputs[0, 0]] = float("inf")
    with pytest.raises(judgekit.UsageError, match=f"the loss became nan at step 1 {where}"):
        fit(fresh, batches, **options)


def test_the_last_good_checkpoint_is_kept_when_the_loss_breaks(fresh, fit, tmp_path):
    def break_weights(done, total, note):
        if done == 5:
            with torch.no_grad():
                fresh.norm.weight.fill_(float("nan"))

    message = r"the loss became nan at step 6 .*; the best checkpoint before is kept in .*run/best"
    with pytest.raises(judgekit.UsageError, match=message):
        fit(fresh, _batches(6), evaluate_every=2, progress=break_weights)
    assert math.isfinite(_loss(tmp_path / "run" / "best", _batches(1)[0]))
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_a_validation_loss_that_is_not_finite_stops(fresh, fit):
    broken = _batches(1)[0]
    good = _batches(2)[1]
    with torch.no_grad():
        fresh.tokens.weight[299] = float("nan")
    broken.inputs[:] = 299
    good.inputs.clamp_(max=298), good.targets.clamp_(max=298)
    with pytest.raises(judgekit.UsageError, match="the loss became nan at step 0, validation"):
        fit(fresh, [good], validation=[broken])


def test_an_update_that_breaks_the_weights_is_not_kept(fresh, fit, tmp_path):
    """Nothing is held out, so that no validation loss would tell."""
    with pytest.raises(judgekit.UsageError, match=r"became (nan|inf) at step 1 .*after the update"):
        fit(fresh, _batches(1), lr=1e38, warmup=0, clip=None, evaluate_every=1)
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert not (tmp_path / "run" / "best").exists()


def test_a_gradient_that_is_not_finite_stops(fresh, fit, monkeypatch):
    head = NextToken.head
    monkeypatch.setattr(NextToken, "head", lambda *args: head(*args) + 0 * (args[1] * 0).abs().sqrt().sum())
    with pytest.raises(judgekit.UsageError, match=r"the gradient became nan at step 1 \(epoch 1, batch 1"):
        fit(fresh, _batches(2))
