"""What every printed number means: rows in, `Estimate` out. Pure; numpy and scipy.special only.

items      rows → one mean an item (judge repeats inside generation repeats inside the item)
intervals  t, plus-two-t, Wilson, Clopper–Pearson on item means, and the choice `auto` makes
bootstrap  studentised, BCa and percentile resampling of items
betting    a guaranteed interval, wider than the others
clusters   items that are not independent of each other
repeats    the rerun interval and the variance components
paired     two systems on the same items
estimates  the entry: `estimate` and `difference`

The unit of analysis is the item (or its cluster), never the row and never the run: repeats of one item are not
independent of each other, and a run's mean says nothing about other items. This module alone is light to import.
"""

from __future__ import annotations

from typing import Literal, get_args

Method = Literal["auto", "bootstrap", "bca", "percentile", "t", "plus_two_t", "wilson", "clopper_pearson", "betting"]
METHODS: tuple[Method, ...] = get_args(Method)
RESAMPLES = 9_999  # B + 1 is a round number, so that the quantiles are order statistics
