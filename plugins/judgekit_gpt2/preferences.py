"""Learning from preferences: "Direct Preference Optimization: Your Language Model is Secretly a Reward Model"
(Rafailov et al., 2023).

Letters in shape comments: P pairs, each a chosen and a rejected response to the same prompt; T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import judgekit
import judgekit.data
from judgekit_gpt2 import data
from judgekit_gpt2.data import IGNORED, Example
from judgekit_gpt2.model import GPT2
from judgekit_gpt2.preference_file import PAIR, Preferred
from judgekit_gpt2.tokens import Tokenizer


@dataclass(frozen=True)
class Pair:
    """A prompt with the response that is preferred and the one that is not. `reference` are their log-probabilities
    under the reference model (see `with_reference`), if they are known."""

    chosen: Example
    rejected: Example
    reference: tuple[float, float] | None = None

    @property
    def name(self) -> str:
        return self.chosen.name

    def __len__(self) -> int:
        """Tokens of the longer one."""
        return max(len(self.chosen.ids), len(self.rejected.ids))


@dataclass(frozen=True)
class PairBatch:
    """Token ids [P, 2, T], chosen then rejected, and the token that follows each of them [P, 2, T] or IGNORED."""

    inputs: Tensor
    targets: Tensor
    names: tuple[str, ...] = ()
    reference: Tensor | None = None  # [P, 2] log-probabilities under the reference model, if they are known

    @property
    def weight(self) -> int:
        """The pairs: the loss is a mean over them."""
        return len(self.inputs)

    def part(self, rank: int, ranks: int) -> PairBatch:
        """Every `ranks`-th pair, from `rank` on; there may be none."""
        mine = slice(rank, None, ranks)
        reference = None if self.reference is None else self.reference[mine]
        return PairBatch(self.inputs[mine], self.targets[mine], self.names[mine], reference)


def pairs_of(
    preferred: Sequence[Preferred],
    tokenizer: Tokenizer,
    *,
    style: str,
    context: int,
    truncate: bool = False,
    skip_equal: bool = False,
    prompts: judgekit.data.Prompts | None = None,
) -> list[Pair]:
    """The pairs of a file as tokens.

    Prompts, all turns before the last answer, are rendered as evaluation renders them, and encoded apart from the
    responses. Raises DataError for one that is longer than the context (unless `truncate`: its end is then cut off),
    and for one whose two responses are the same, which teaches nothing (unless `skip_equal`: it is then left out).
    """
    pairs = []
    ends = judgekit.data.style_named(style, prompts).end != ""
    for one in preferred:
        item, answers = one.item, one.item.sample.references[:-1]
        prompt = judgekit.data.style_named(style, prompts).spans(item.sample, [text or "" for text in answers])
        if sum(len(tokenizer.encode(span.text)) for span in prompt) >= context:
            raise item.error(f"the prompt alone fills the context of {context}")
        responses = []
        for field, text in zip(PAIR, (one.chosen, one.rejected), strict=True):
            spans = judgekit.data.render_training(style, one.sample(text), prompts)
            last = [*(False for _ in answers), True]
            example = data.of_spans(spans, tokenizer, mask_prompt=True, ends=ends, name=item.sample.id, learnt=last)
            if len(example) > context and not truncate:
                longer = f"with {field!r} {len(example)} tokens are more than the context of {context}"
                raise item.error(f"{longer}; 'truncate: true' cuts them")
            responses.append(example)
        chosen, rejected = responses
        if chosen.ids[: context + 1] != rejected.ids[: context + 1]:  # what is learnt when the end is cut off
            pairs.append(Pair(chosen, rejected))
        elif not skip_equal:
            within = "" if len(chosen.ids) <= context else f" within the context of {context}"
            raise item.error(f"'chosen' and 'rejected' are the same{within}; 'skip_equal: true' leaves such pairs out")
    if not pairs:
        raise judgekit.DataError("every 'chosen' is the same as its 'rejected'", path=preferred[0].item.entry.path)
    return pairs


def collate(pairs: Sequence[Pair], end_of_text: int, limit: int | None = None) -> PairBatch:
    """The pairs as one batch, padded and masked as `data.collate` does it. `limit` cuts rows to that many tokens."""
    rows = data.collate([row for pair in pairs for row in (pair.chosen, pair.rejected)], end_of_text, limit)
    known = [pair.reference for pair in pairs if pair.reference is not None]
    assert len(known) in (0, len(pairs)), "the reference's log-probabilities are known of some pairs only"
    return PairBatch(
        rows.inputs.reshape(len(pairs), 2, -1),
        rows.targets.reshape(len(pairs), 2, -1),
        tuple(pair.name for pair in pairs),
        torch.tensor(known) if known else None,
    )


def sequence_logprobs(model: GPT2, batch: PairBatch) -> Tensor:
    """log π(response | prompt) [P, 2] in nats, the end of text included; logits are computed for no other target."""
    device = model.tokens.weight.device
    targets = batch.targets.flatten().to(device)
    counted = (targets != IGNORED).nonzero().squeeze(1)
    hidden = model(batch.inputs.flatten(0, 1).to(device)).flatten(0, 1)  # [P · 2 · T, C]
    logits = model.logits(hidden.index_select(0, counted)).float()  # [counted, V]
    logprobs = -F.cross_entropy(logits, targets.index_select(0, counted), reduction="none")
    each = logprobs.new_zeros(len(targets)).scatter(0, counted, logprobs)
    return each.view(batch.targets.shape).sum(-1)


@torch.no_grad()
def with_reference(
    pairs: Sequence[Pair], reference: GPT2, end_of_text: int, *, limit: int | None = None, size: int = 8
) -> list[Pair]:
    """The pairs with their log-probabilities under a model, so that training on them need not run or hold it.

    They are computed `size` pairs at a time in an order that depends on the pairs alone: a training that is gone on
    with gets the very numbers that it began with.
    """
    reference.eval()
    order = sorted(range(len(pairs)), key=lambda index: len(pairs[index]))
    known: dict[int, Pair] = {}
    for start in range(0, len(order), size):
        part = order[start : start + size]
        batch = collate([pairs[index] for index in part], end_of_text, limit)
        for index, (chosen, rejected) in zip(part, sequence_logprobs(reference, batch).tolist(), strict=True):
            known[index] = replace(pairs[index], reference=(chosen, rejected))
    return [known[index] for index in range(len(pairs))]


class DPOLoss(nn.Module):
    """The DPO loss, in nats, summed over pairs:

        −log σ(β · [(log π(chosen) − log ref(chosen)) − (log π(rejected) − log ref(rejected))])

    `beta` says how dearly leaving the reference is paid. `smoothing` is the share of pairs that are taken to be
    labelled the wrong way round (conservative DPO; Mitchell, 2023). Batches bring the reference's log-probabilities.
    """

    def __init__(self, policy: GPT2, *, beta: float = 0.1, smoothing: float = 0.0) -> None:
        super().__init__()
        self.policy, self.beta, self.smoothing = policy, beta, smoothing

    def forward(self, batch: PairBatch) -> Tensor:
        """The summed loss []."""
        rewards = self.rewards(batch)
        margins = rewards[:, 0] - rewards[:, 1]
        losses = -(1 - self.smoothing) * F.logsigmoid(margins) - self.smoothing * F.logsigmoid(-margins)  # [P]
        return losses.sum()

    def rewards(self, batch: PairBatch) -> Tensor:
        """The implicit rewards β · (log π − log ref) [P, 2], in nats."""
        assert batch.reference is not None, "the reference's log-probabilities are not known"
        policy = sequence_logprobs(self.policy, batch)
        return self.beta * (policy - batch.reference.to(policy.device))

    @torch.no_grad()
    def measure(self, batches: Sequence[PairBatch]) -> dict[str, float]:
        """Means over pairs, without dropout: the `accuracy`, that is the share whose chosen response has the greater
        reward (a tie is half a pair), and the `margin` by which it is greater, in nats."""
        mode = self.training
        self.eval()
        rewards = torch.cat([self.rewards(batch) for batch in batches])  # [P, 2]
        self.train(mode)
        margins = rewards[:, 0] - rewards[:, 1]
        right = torch.heaviside(margins, margins.new_tensor(0.5))
        return {"accuracy": float(right.mean()), "margin": float(margins.mean())}
