"""Statistics: what every printed number means. Rows in, `Estimate` out. Pure; numpy and scipy.special only.

items      rows → one mean an item (judge repeats inside generation repeats inside the item)
intervals  t, plus-two-t, Wilson, Clopper–Pearson on item means, and the choice `auto` makes
bootstrap  studentised, BCa and percentile resampling of items
betting    a guaranteed interval, wider than the others
clusters   items that are not independent of each other
repeats    the rerun interval and the variance components
variance   what a standard error is made of, and what to buy next
paired     two systems on the same items
refit      the item bootstrap of a fitted number
estimates  an item table in, means with their intervals out
aggregate  what a metric makes of its tables, and on what terms

The unit of analysis is the item (or its cluster), never the row and never the run: repeats of one item are not
independent of each other, and a run's mean says nothing about other items. This module alone is light to import.
"""

from judgekit.doors import open_door

__getattr__, __dir__, __all__ = open_door(__name__, __file__)
