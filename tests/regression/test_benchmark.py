"""benchmarks/gate.py on fewer pairs: the figures that the gate promises, beside the gates that people write first."""

import importlib.util

import numpy as np
import pytest

from judgekit.statistics.gating import Design
from judgekit.statistics.power import minimum_detectable

PAIRS = 3000


def noise(share):
    """Three standard errors, in percent."""
    return 300 * np.sqrt(share * (1 - share) / PAIRS)


@pytest.fixture(scope="module")
def benchmark(checkout):
    spec = importlib.util.spec_from_file_location("gate_benchmark", checkout / "benchmarks" / "gate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("change", "dropped", "paired", "three"),
    [(0, 49.5, 4.8, (88, 10, 2)), (-2, 98, 66, (19, 28, 53)), (-3, 100, 92, (2, 11, 87)), (-5, 100, 100, (0, 0, 100))],
)
def test_the_table_of_gates_is_reproduced(benchmark, change, dropped, paired, three):
    found = benchmark.rates(np.random.default_rng(7), PAIRS, Design(110, 100.0), 3, float(change), 3.0)
    assert found["mean dropped"] == pytest.approx(dropped, abs=noise(0.5) + 0.5)
    assert found["disjoint"] <= 0.2
    assert found["paired 5 %"] == pytest.approx(paired, abs=noise(0.3) + 0.5)
    seen = found["pass"], found["inconclusive"], found["fail"]
    assert seen == pytest.approx(three, abs=noise(0.3) + 0.5)


def test_false_alarms_and_detection(benchmark):
    rng = np.random.default_rng(8)
    for n, margin in ((110, 3.0), (60, 5.0)):
        design = Design(n, 100.0)
        least = minimum_detectable(benchmark.sd_of(3), design, margin)
        assert benchmark.rates(rng, PAIRS, design, 3, 0.0, margin)["fail"] <= 5 + noise(0.05)
        assert benchmark.rates(rng, PAIRS, design, 3, -least, margin)["fail"] == pytest.approx(80, abs=2 + noise(0.8))


def test_holm_keeps_five_metrics_at_five_percent(benchmark):
    loose, strict = benchmark.family(np.random.default_rng(12), 4 * PAIRS, Design(110, 100.0), 3, 5, 0.0)
    assert loose > 9
    assert strict <= 5 + noise(0.05)


def test_looking_at_any_time_keeps_five_percent_where_peeking_does_not(benchmark):
    found = benchmark.sequential(np.random.default_rng(10), 1500, Design(300, 100.0), 3, 0.0, 3.0)
    assert found["fail"] <= 5 + noise(0.05)
    assert found["peeking"] > 20
    assert found["judged"] < 80
    lost = benchmark.sequential(np.random.default_rng(11), 500, Design(300, 100.0), 3, -4.0, 3.0)
    assert lost["fail"] > 95
    assert lost["pass"] <= 5
