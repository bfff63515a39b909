"""Methods of making an interval, by the names that a config gives them."""

from __future__ import annotations

from typing import Literal, get_args

Method = Literal["auto", "bootstrap", "bca", "percentile", "t", "plus_two_t", "wilson", "clopper_pearson", "betting"]
METHODS: tuple[Method, ...] = get_args(Method)
RESAMPLES = 9_999  # B + 1 is a round number, so that the quantiles are order statistics
