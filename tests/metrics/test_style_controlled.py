"""The win rate at equal style: what the features count, the fit against another optimiser, and what is refused."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from judgekit.statistics import Range, RefitTerms
from judgekit_metrics.style import STYLE, style_differences
from judgekit_metrics.style_controlled import style_controlled
from tables import each

MARKED = "# One\n\n## Two\n- a\n* b\n3. c\n**bold** and __bold__\n"


def test_markdown_is_counted_outside_code_for_each_thousand_characters():
    long = len(MARKED)
    found = style_differences(MARKED, "plain" * 20)
    assert found["style_length"] == (long - 100) / (long + 100)
    for name, count in (("style_headers", 2), ("style_lists", 3), ("style_bold", 2)):
        assert found[name] == pytest.approx(1000 * count / long)
    assert style_differences("plain" * 20, MARKED) == {name: -value for name, value in found.items()}
    code = f"```\n{MARKED}```\n"
    assert set(style_differences(code, "x" * len(code)).values()) == {0}
    assert set(style_differences(f"```\n{MARKED}", "x" * (long + 4)).values()) == {0}, "a block that never ends"
    assert style_differences("", "") == dict.fromkeys(STYLE, 0)


def controlled(win, features, weight=None, resamples=199, labels=None):
    weight = np.ones(len(win)) if weight is None else weight
    terms = RefitTerms(0.95, Range(0, 1), resamples, labels)
    return style_controlled(win, weight, features, STYLE, terms, np.random.default_rng(0))


def simulated(n, seed, intercept=0.3):
    rng = np.random.default_rng(seed)
    features = rng.normal(0.3, 1, (n, 4)) * (0.2, 3, 5, 2)
    slope = np.asarray((4.0, 0.2, -0.1, 0.3))
    return (rng.random(n) < expit(features @ slope + intercept)).astype(float), features


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_maximum_of_the_weighted_likelihood(seed):
    win, features = simulated(250, seed)
    rng = np.random.default_rng(seed)
    weight, scaled = rng.choice([1.0, 2, 3, 6], 250), features / features.std(axis=0)
    win = np.clip(win + rng.uniform(-0.3, 0.3, 250), 0, 1)

    def loss(w):
        eta = w[0] + scaled @ w[1:]
        return float(-np.sum(weight * (win * log_expit(eta) + (1 - win) * log_expit(-eta))))

    best = minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-8})
    found = controlled(win, features, weight)
    assert found.value == pytest.approx(expit(best.x[0]), abs=1e-6)
    assert found.interval.low is not None
    assert found.interval.low < found.value < found.interval.high
    order = rng.permutation(250)
    assert controlled(win[order], features[order], weight[order]) == found


def test_a_liking_for_style_is_taken_out_and_none_is_put_in():
    win, features = simulated(4000, 1, intercept=0.0)
    assert win.mean() > 0.57
    assert controlled(win, features).value == pytest.approx(0.5, abs=0.03)
    win = (np.random.default_rng(0).random(4000) < 0.7).astype(float)
    assert controlled(win, features).value == pytest.approx(win.mean(), abs=0.02)


def test_a_mark_that_neither_uses_is_left_out_and_said():
    win, features = simulated(200, 3)
    features[:, 3] = 0
    found = controlled(win, features)
    assert found.value is not None
    assert "style_bold" in found.interval.note
    assert controlled(win, np.zeros((200, 4))).value is None


def _constant(win, features):
    features[:, 1] = 2.0


def _one_sided(win, features):
    features[:, 0] = np.abs(features[:, 0])


def _parted(win, features):
    win[:] = features[:, 2] > 0


def _twins(win, features):
    features[:, 2] = 3 * features[:, 1]


def _all_won(win, features):
    win[:] = 1


@each(_constant, _one_sided, _parted, _twins, _all_won)
def test_what_identifies_nothing_is_refused_with_the_reason(spoil):
    win, features = simulated(200, 4)
    spoil(win, features)
    found = controlled(win, features)
    assert (found.value, found.interval.low) == (None, None)
    assert found.interval.note
