import numpy as np
import pytest

from judgekit.statistics.items import ItemTable
from judgekit.statistics.repeats import components


def table_of(values):
    """A table of values[item, generation, judgement]."""
    table = ItemTable()
    for (i, g, j), value in np.ndenumerate(values):
        table.add(f"{i:04}", g, j, float(value))
    return table


def test_components_by_hand():
    # s²_judge = (2 + 8 + 2 + 0)/4; variance of generation means (8, 0.5)/2; item means 4.5 and 8.25
    made = components(table_of(np.asarray([[[1, 3], [4, 8]], [[7, 9], [7.5, 7.5]]]) * 1.0))
    judge = (2 + 8 + 2 + 0) / 4
    generations = ((6 - 2) ** 2 / 2 + (8 - 7.5) ** 2 / 2) / 2
    items = (7.75 - 4) ** 2 / 2
    assert made.judge == pytest.approx(judge)
    assert made.generation == pytest.approx(generations - judge / 2)
    assert made.item == pytest.approx(items - generations / 2)


def test_components_are_found_again():
    rng = np.random.default_rng(0)
    shape = (4000, 3, 2)
    values = rng.normal(0, 5, (4000, 1, 1)) + rng.normal(0, 3, (4000, 3, 1)) + rng.normal(0, 2, shape)
    made = components(table_of(values))
    assert (made.item, made.generation, made.judge) == pytest.approx((25, 9, 4), rel=0.06)


def test_what_no_repeat_can_tell_is_unknown():
    one = components(table_of(np.asarray([[[1.0]], [[3.0]]])))
    assert (one.item, one.generation, one.judge) == (2, None, None)
    judged = components(table_of(np.asarray([[[1.0, 2.0]], [[5.0, 6.0]]])))
    assert (judged.generation, judged.judge) == (None, 0.5)
    assert components(table_of(np.asarray([[[1.0]]]))) is None


def test_a_component_is_never_negative():
    made = components(table_of(np.asarray([[[0.0], [10.0]], [[10.0], [0.0]]])))
    assert made.item == 0
