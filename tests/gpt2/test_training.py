"""The loop against plain PyTorch on the reference model, and its promises."""

import copy
from itertools import pairwise

import pytest
import torch

import judgekit
from judgekit_gpt2 import training, weights
from judgekit_gpt2.data import IGNORED, Batch
from judgekit_gpt2.training import Recipe


def _batches(count, masked=True, vocabulary=300):
    generator = torch.Generator().manual_seed(5)
    batches = []
    for number in range(count):
        inputs = torch.randint(0, vocabulary, (4, 12), generator=generator)
        targets = torch.randint(0, vocabulary, (4, 12), generator=generator)
        if masked:
            targets[:, : 4 + number % 3] = IGNORED
        batches.append(Batch(inputs, targets, ("a", "b", "c", "d")))
    return batches


def _fit(model, batches, validation=(), **changes):
    recipe = Recipe(**{"steps": len(batches), "lr": 1e-3, "warmup": 4, "evaluate_every": 5, **changes})
    return list(training.fit(model, recipe, lambda _: batches, validation, lambda *_: None))


def test_twenty_steps_equal_those_of_the_reference(model, reference):
    """The same losses as transformers' model with torch's AdamW, decay on matrices only, clipping and schedule."""
    ours = weights.with_dropout(copy.deepcopy(model), 0.0)
    theirs = copy.deepcopy(reference).eval()  # no dropout there either
    batches = _batches(20)
    recipe = Recipe(steps=20, lr=1e-3, warmup=4, evaluate_every=1)
    points = list(training.fit(ours, recipe, lambda _: batches, (), lambda *_: None))
    matrices = [p for p in theirs.parameters() if p.ndim == 2]
    vectors = [p for p in theirs.parameters() if p.ndim == 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}], betas=(0.9, 0.95)
    )
    for point, batch in zip(points, batches, strict=True):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate(point.step)
        logits = theirs(batch.inputs).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED)
        assert point.loss == pytest.approx(loss.item(), abs=1e-4)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
    assert points[-1].loss != pytest.approx(points[0].loss, abs=0.1), "nothing was learnt, so nothing was compared"


def test_the_same_seed_gives_the_same_weights(fresh):
    first, second, third = (copy.deepcopy(fresh) for _ in range(3))
    curve = _fit(first, _batches(8), seed=1)
    assert _fit(second, _batches(8), seed=1) == curve
    assert _fit(third, _batches(8), seed=2) != curve, "dropout is drawn from the seed"
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_training_leaves_the_global_random_numbers_alone(fresh):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    _fit(fresh, _batches(2))
    assert torch.equal(torch.rand(3), expected)


def test_no_logits_are_computed_where_the_target_is_ignored(fresh, monkeypatch):
    seen = []
    monkeypatch.setattr(fresh, "logits", lambda hidden: seen.append(hidden) or hidden @ fresh.tokens.weight.T)
    batch = _batches(1)[0]
    training.batch_loss(fresh, batch)
    assert seen[0].shape == (int((batch.targets != IGNORED).sum()), 32)
    assert len(seen[0]) == 4 * 8


def test_ignored_targets_change_neither_loss_nor_gradient(fresh):
    fresh.eval()
    batch = _batches(1)[0]
    garbled = Batch(batch.inputs.clone(), batch.targets, batch.names)
    garbled.inputs[:, -3:] = 7
    masked = batch.targets.clone()
    masked[:, -3:] = IGNORED
    losses = [training.batch_loss(fresh, Batch(inputs.inputs, masked)) for inputs in (batch, garbled)]
    assert losses[0].item() == pytest.approx(losses[1].item(), abs=1e-6)


def test_the_curve_has_both_splits_and_learns(fresh):
    batches = _batches(1) * 60
    points = _fit(fresh, batches, validation=_batches(1), lr=1e-2, evaluate_every=25)
    assert [(point.step, point.split) for point in points] == [
        (0, "validation"),
        *((step, split) for step in (25, 50, 60) for split in ("train", "validation")),
    ]
    assert points[-1].loss < 0.5 * points[0].loss
    assert not fresh.training


def test_validation_weighs_every_target_alike(fresh):
    fresh.eval()
    one, two = _batches(2)
    two.targets[:, :11] = IGNORED
    with torch.no_grad():
        losses = [training.batch_loss(fresh, batch).item() for batch in (one, two)]
    assert training.mean_loss(fresh, [one, two]) == pytest.approx((losses[0] * 32 + losses[1] * 4) / 36)


def test_the_learning_rate_warms_up_and_falls_to_nothing():
    recipe = Recipe(steps=100, lr=1.0, warmup=10)
    rates = [recipe.learning_rate(step) for step in range(1, 101)]
    assert rates[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert all(before > after for before, after in pairwise(rates[9:]))
    assert recipe.learning_rate(55) == pytest.approx(0.5, abs=0.01)
    assert 0 < rates[-1] < 0.001
    constant = Recipe(steps=100, lr=1.0, warmup=0, schedule="constant")
    assert {constant.learning_rate(step) for step in range(1, 101)} == {1.0}


def test_a_loss_that_is_not_finite_stops_and_names_step_and_batch(fresh):
    batches = _batches(6)
    with torch.no_grad():
        fresh.tokens.weight[batches[0].inputs[0, 0]] = float("inf")
    with pytest.raises(judgekit.UsageError, match=r"the loss became nan at step 1, batch \[4, 12\] \(a, b, c, d\)"):
        _fit(fresh, batches)


def test_a_validation_loss_that_is_not_finite_stops(fresh):
    def break_weights(done, total, note):
        with torch.no_grad():
            fresh.norm.weight.fill_(float("nan"))

    recipe = Recipe(steps=1, lr=1e-3, warmup=0)
    points = training.fit(fresh, recipe, lambda _: _batches(1), _batches(1), break_weights)
    with pytest.raises(judgekit.UsageError, match="the loss became nan at step 1, validation"):
        list(points)


def test_epochs_follow_one_another_until_the_steps_are_done(fresh):
    seen = []

    def epoch(generator):
        seen.append(torch.randint(0, 1000, (1,), generator=generator).item())
        return _batches(3)

    steps = []
    recipe = Recipe(steps=7, lr=1e-3, warmup=1)
    list(training.fit(fresh, recipe, epoch, (), lambda done, total, note: steps.append((done, total))))
    assert len(set(seen)) == 3
    assert steps == [(step, 7) for step in range(1, 8)]
