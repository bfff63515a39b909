"""The DPO loss against numbers worked by hand."""

import copy
import math

import pytest
import torch

from judgekit_gpt2 import lora, preferences
from judgekit_gpt2.config import GPT2Config
from judgekit_gpt2.data import IGNORED, Example
from judgekit_gpt2.model import GPT2
from judgekit_gpt2.options import Adapters
from judgekit_gpt2.preferences import DPOLoss, Pair

END = 299
LN2 = math.log(2)


def _random_pairs(count=3):
    """Pairs of prompts and responses of different lengths, over 299 tokens and the end of text."""
    generator = torch.Generator().manual_seed(6)

    def tokens(length):
        return torch.randint(0, END, (length,), generator=generator).tolist()

    pairs = []
    for number in range(count):
        prompt = tokens(4 + number)
        chosen, rejected = (prompt + tokens(length) for length in (3 + number, 7 - number))
        pairs.append(Pair(*(Example(ids, len(prompt), f"pair {number}") for ids in (chosen, rejected))))
    return pairs


def _batch(pairs=None):
    return preferences.collate(_random_pairs() if pairs is None else pairs, END)


def _known(reference, pairs=None):
    """A batch that brings the log-probabilities under this model."""
    return _batch(preferences.with_reference(pairs or _random_pairs(), reference, END))


def _moved(model):
    """A copy whose weights are a little different."""
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return other


def test_a_batch_is_padded_and_counts_responses_and_their_ends():
    chosen, rejected = Example([1, 2, 3, 10], 3, "a"), Example([1, 2, 3, 20, 21], 3, "a")
    other = Pair(Example([4, 30], 1, "b"), Example([4, 31], 1, "b"))
    batch = preferences.collate([Pair(chosen, rejected), other], END)
    N = IGNORED
    assert batch.inputs.tolist() == [
        [[1, 2, 3, 10, END], [1, 2, 3, 20, 21]],
        [[4, 30, END, END, END], [4, 31, END, END, END]],
    ]
    assert batch.targets.tolist() == [
        [[N, N, 10, END, N], [N, N, 20, 21, END]],
        [[30, END, N, N, N], [31, END, N, N, N]],
    ]
    assert (batch.weight, batch.names, batch.reference) == (2, ("a", "b"), None)


def test_the_parts_of_a_batch_are_all_of_it():
    def rows(part):
        return list(zip(part.names, part.inputs.tolist(), part.targets.tolist(), part.reference.tolist(), strict=True))

    batch = _batch([Pair(p.chosen, p.rejected, (-float(n), -n - 0.5)) for n, p in enumerate(_random_pairs(5))])
    for ranks in (1, 2, 3, 7):
        parts = [batch.part(rank, ranks) for rank in range(ranks)]
        assert sum(part.weight for part in parts) == 5
        assert sorted(row for part in parts for row in rows(part)) == rows(batch)
    assert [batch.part(rank, 2).names[:2] for rank in range(2)] == [("pair 0", "pair 2"), ("pair 1", "pair 3")]


def test_references_are_known_of_all_pairs_of_a_batch_or_of_none():
    first, *others = _random_pairs()
    with pytest.raises(AssertionError, match="of some pairs only"):
        preferences.collate([Pair(first.chosen, first.rejected, (-1.0, -2.0)), *others], END)


# --- the objective ---


def test_sequence_logprobs_are_those_of_the_reference_implementation(model, reference):
    """Each row alone and unpadded through transformers' model: the sum over the response and its end."""
    pairs = _random_pairs()
    with torch.no_grad():
        ours = preferences.sequence_logprobs(model, _batch(pairs))
        for row, pair in zip(ours, pairs, strict=True):
            for value, example in zip(row, (pair.chosen, pair.rejected), strict=True):
                ids = torch.tensor([*example.ids, END])
                logprobs = reference(ids[None]).logits[0].log_softmax(-1)
                expected = sum(logprobs[at - 1, ids[at]] for at in range(example.masked, len(ids)))
                assert value.item() == pytest.approx(expected.item(), abs=1e-4)
    assert ours.shape == (3, 2)
    assert ours.max() < -5, "all of them are about the same, so nothing was compared"


def test_logits_are_computed_only_where_a_target_counts(model, monkeypatch):
    seen = []
    monkeypatch.setattr(model, "logits", lambda hidden: seen.append(hidden) or hidden @ model.tokens.weight.T)
    batch = _batch()
    with torch.no_grad():
        preferences.sequence_logprobs(model, batch)
    assert [len(hidden) for hidden in seen] == [int((batch.targets != IGNORED).sum())] == [3 + 7 + 4 + 6 + 5 + 5 + 6]


def _constant(*probabilities):
    """A model that gives the next token these probabilities, whatever came before."""
    model = GPT2(GPT2Config(vocabulary=len(probabilities), context=8, width=2, layers=1, heads=1, dropout=0.0))
    with torch.no_grad():
        model.norm.weight.zero_()
        model.norm.bias.copy_(torch.tensor([1.0, 0.0]))  # every hidden state
        model.tokens.weight.copy_(torch.tensor(probabilities).log()[:, None] * torch.tensor([1.0, 0.0]))
    return model.eval()


def _by_hand():
    """Policy ½, ¼, ⅛, ⅛ and reference ¼, ¼, ¼, ¼ over the tokens 0, 1, 2 and the end of text 3.

    Pair a, after the prompt 1 2: chosen 0 3, rejected 2 3. In units of ln ½ the policy gives 1 + 3 and 3 + 3, the
    reference 4 and 4. Pair b, after the prompt 2: chosen 1 1 3, rejected 0 3. The policy gives 2 + 2 + 3 and 1 + 3,
    the reference 6 and 4.
    """
    pairs = [
        Pair(Example([1, 2, 0], 2, "a"), Example([1, 2, 2], 2, "a")),
        Pair(Example([2, 1, 1], 1, "b"), Example([2, 0], 1, "b")),
    ]
    reference = _constant(0.25, 0.25, 0.25, 0.25)
    known = preferences.with_reference(pairs, reference, 3)
    return _constant(0.5, 0.25, 0.125, 0.125), reference, preferences.collate(known, 3)


def test_the_loss_is_the_one_worked_by_hand():
    policy, reference, batch = _by_hand()
    logprobs = preferences.sequence_logprobs(policy, batch) / LN2
    assert logprobs.flatten().tolist() == pytest.approx([-4, -6, -7, -4], abs=1e-5)
    assert (preferences.sequence_logprobs(reference, batch) / LN2).flatten().tolist() == pytest.approx([-4, -4, -6, -4])
    # β = ½. Rewards in units of ln 2: a: ½ (−4 + 4) = 0 and ½ (−6 + 4) = −1; b: ½ (−7 + 6) = −½ and ½ (−4 + 4) = 0.
    objective = DPOLoss(policy, beta=0.5)
    assert (objective.rewards(batch) / LN2).flatten().tolist() == pytest.approx([0, -1, -0.5, 0], abs=1e-5)
    # Margins ln 2 and −½ ln 2: σ = ⅔ and 1 / (1 + √2), so −ln ⅔ + ln(1 + √2) = 0.405465 + 0.881374.
    loss = objective(batch)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(0.405465 + 0.881374, abs=1e-5)
    # A label that is wrong in one case of ten: 0.9 · 0.405465 − 0.1 · ln ⅓ = 0.474780, and
    # 0.9 · 0.881374 + 0.1 · (0.881374 − ½ ln 2) = 0.846717.
    smoothed = DPOLoss(policy, beta=0.5, smoothing=0.1)
    assert smoothed(batch).item() == pytest.approx(0.474780 + 0.846717, abs=1e-5)
    # β = 1 doubles the margins: 2 ln 2 and −ln 2, −ln ⅘ + ln 3 = 0.223144 + 1.098612.
    assert DPOLoss(policy, beta=1.0)(batch).item() == pytest.approx(0.223144 + 1.098612, abs=1e-5)


def test_measures_are_means_over_all_pairs():
    policy, _, batch = _by_hand()
    objective = DPOLoss(policy, beta=0.5)
    expected = {"accuracy": 0.5, "margin": LN2 / 4}
    assert objective.measure([batch]) == pytest.approx(expected, abs=1e-5)
    assert objective.measure([batch.part(0, 2), batch.part(1, 2)]) == pytest.approx(expected, abs=1e-5)
    assert objective.measure([batch.part(0, 2)]) == pytest.approx({"accuracy": 1.0, "margin": LN2}, abs=1e-5)
    three = objective.measure([batch.part(1, 2), batch])
    assert three == pytest.approx({"accuracy": 1 / 3, "margin": 0.0}, abs=1e-5)


def test_the_start_is_exactly_log_two(model):
    batch = _known(model)
    objective = DPOLoss(copy.deepcopy(model)).eval()
    assert not objective.rewards(batch).any()
    assert objective(batch).item() == pytest.approx(3 * LN2, rel=1e-7)
    assert objective.measure([batch]) == {"accuracy": 0.5, "margin": 0.0}


def test_the_first_gradient_is_the_papers(fresh):
    """∇ = −β σ(−margin) (∇ log π(chosen) − ∇ log π(rejected)), where σ(0) = ½."""
    batch = _known(fresh)
    policy = copy.deepcopy(fresh).eval()
    DPOLoss(policy, beta=0.3)(batch).backward()
    plain = copy.deepcopy(fresh).eval()
    logprobs = preferences.sequence_logprobs(plain, batch)
    (logprobs[:, 0] - logprobs[:, 1]).sum().backward()
    for ours, expected in zip(policy.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, -0.3 * 0.5 * expected.grad, rtol=1e-4, atol=1e-6)


def test_a_large_margin_neither_overflows_nor_loses_its_gradient(model):
    batch = _known(_moved(model))
    objective = DPOLoss(copy.deepcopy(model), beta=1e4)
    margins = objective.rewards(batch).diff(dim=1).neg().squeeze(1)
    assert margins.abs().max() > 200
    loss = objective(batch)
    assert loss.item() == pytest.approx(margins.neg().clamp(min=0).sum().item(), rel=1e-5)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in objective.policy.parameters())


def _train(objective, batch, steps=8, lr=1e-3):
    optimiser = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad], lr=lr)
    objective.train()
    torch.manual_seed(0)  # dropout
    losses = []
    for _ in range(steps):
        loss = objective(batch) / batch.weight
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    return losses


def test_training_prefers_the_chosen(fresh):
    objective, batch = DPOLoss(fresh, beta=0.5), _known(fresh)
    losses = _train(objective, batch)
    assert losses[0] == pytest.approx(LN2, abs=0.3), "dropout acts on the policy"
    measures = objective.measure([batch])
    assert objective.eval()(batch).item() / 3 < 0.6 * LN2
    assert measures["accuracy"] == 1
    assert measures["margin"] > 0.5


def test_the_policy_has_dropout_only_in_training(fresh):
    batch = _known(fresh.train())
    objective = DPOLoss(fresh).train()
    assert objective.rewards(batch).any(), "fresh has dropout, and the reference has none"
    assert objective.measure([batch])["margin"] == 0
    assert objective.policy.training, "measuring leaves the mode as it was"
    assert not objective.eval().rewards(batch).any()


def test_adapters_learn_preferences_over_the_frozen_model_they_share(fresh):
    """The reference may be the very weights below the adapters: nothing is held twice."""
    reference = lora.merged(fresh)
    batch, before = _known(reference), copy.deepcopy(reference.state_dict())
    lora.attach(fresh, Adapters(rank=4, alpha=8.0), torch.Generator().manual_seed(1))
    objective = DPOLoss(fresh, beta=0.5)
    assert reference.tokens.weight.data_ptr() == fresh.tokens.weight.data_ptr()
    assert objective.eval()(batch).item() == pytest.approx(3 * LN2, rel=1e-7)
    _train(objective, batch, lr=1e-2)
    measures = objective.measure([batch])
    assert measures["accuracy"] == 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in reference.state_dict().items())
    assert DPOLoss(lora.merged(fresh), beta=0.5).measure([batch]) == pytest.approx(measures, abs=1e-4)


def test_known_references_are_those_of_the_reference_model(model):
    """In the order of the pairs, the very same each time, and within the limit."""
    pairs = _random_pairs(5)
    for limit in (None, 9):
        known = preferences.with_reference(pairs, model, END, limit=limit, size=2)
        assert [(pair.chosen, pair.rejected) for pair in known] == [(pair.chosen, pair.rejected) for pair in pairs]
        assert preferences.with_reference(pairs, model, END, limit=limit, size=2) == known
        with torch.no_grad():
            expected = preferences.sequence_logprobs(model, preferences.collate(pairs, END, limit))
        assert [pair.reference for pair in known] == [pytest.approx(row, abs=1e-4) for row in expected.tolist()]
    with pytest.raises(AssertionError, match="log-probabilities are not known"):
        DPOLoss(model)(_batch(pairs))


def test_known_references_are_without_dropout_and_gradient(fresh):
    pairs = _random_pairs()
    assert preferences.with_reference(pairs, fresh.train(), END) == preferences.with_reference(pairs, fresh.eval(), END)


def test_a_part_without_pairs_costs_nothing_and_has_a_gradient(fresh):
    """As it happens to the last process of several when an epoch's last batch is small."""
    empty = _known(fresh).part(3, 4)
    assert empty.weight == 0
    loss = DPOLoss(fresh)(empty)
    assert loss.item() == 0
    loss.backward()
    assert all(p.grad is not None and not p.grad.any() for p in fresh.parameters())


def test_parts_add_up_to_the_whole_and_the_loss_is_summed_in_float32_under_bfloat16(model):
    objective, batch = DPOLoss(_moved(model), beta=0.1).eval(), _known(model, _random_pairs(5))
    with torch.no_grad():
        whole = objective(batch).item()
        assert sum(objective(batch.part(rank, 2)).item() for rank in range(2)) == pytest.approx(whole, abs=1e-4)
        with torch.autocast("cpu", torch.bfloat16):
            low = objective(batch)
    assert low.dtype == torch.float32
    assert low.item() == pytest.approx(whole, rel=0.1)
