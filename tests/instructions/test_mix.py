"""`judgekit data mix`: shares that are kept, told, and the same for the same seed."""

import json
import math
from collections import Counter

import pytest

import judgekit
import judgekit.data
from judgekit_instructions import mixing
from tables import each


def items(name, count, **fields):
    return [{"instruction": f"{name} {number}", "output": "o", **fields} for number in range(count)]


@pytest.fixture
def three(written):
    for name, count in (("a", 3000), ("b", 1000), ("c", 100)):
        written(items(name, count, category=f"task {name}"), f"{name}.jsonl")


@pytest.fixture
def few(written):
    for name in "abc":
        written(items(name, 3, category=f"task {name}"), f"{name}.jsonl")


def counted(path):
    return Counter(item.sample.instruction.split()[0] for item in judgekit.data.read_items(path))


def record(path):
    return json.loads(path.with_name(f"{path.name}.mix.json").read_text("utf-8"))


SIZES = {"a": 40_000, "b": 20_000, "c": 9_000}
SHARES = {
    "weights": mixing.by_weight({"a": 3.7, "b": 2, "c": 1.1}),
    "examples-proportional": mixing.by_size(SIZES),
    "capped": mixing.by_size(SIZES, cap=30_000),
    "temperature": mixing.by_size(SIZES, temperature=1.3),
}


@pytest.mark.parametrize("way", SHARES)
def test_shares_are_within_one_percent_at_50_000_items(way):
    starts = {"a": 0, "b": 40_000, "c": 60_000}
    pools = [
        mixing.Pool(name, range(starts[name], starts[name] + SIZES[name]), share) for name, share in SHARES[way].items()
    ]
    chosen = mixing.order(mixing.draw(pools, mixing.apportioned(pools, 50_000), seed=1), seed=1)
    assert len(chosen) == len(set(chosen)) == 50_000
    for pool in pools:
        realised = sum(place in pool.members for place in chosen) / 50_000
        assert realised == pytest.approx(pool.share, rel=0.01)
    assert chosen == mixing.order(mixing.draw(pools, mixing.apportioned(pools, 50_000), seed=1), seed=1)


def test_weights_are_kept_and_told(data, tmp_path, three):
    code, out, _ = data("mix", "a.jsonl=3.7", "b.jsonl=1.2", "c.jsonl=0.1", "--total", 2000, "--into", "m.jsonl")
    assert code == 0
    assert counted(tmp_path / "m.jsonl") == {"a": 1480, "b": 480, "c": 40}
    assert "74.00%" in out
    assert len({item.sample.instruction for item in judgekit.data.read_items(tmp_path / "m.jsonl")}) == 2000


def test_the_same_seed_gives_the_same_bytes(data, tmp_path, three):
    for into, seed in (("x.jsonl", 5), ("y.jsonl", 5), ("z.jsonl", 6)):
        assert data("mix", "a.jsonl=2", "b.jsonl=1", "--into", into, "--seed", seed, "--total", 900)[0] == 0
    x, y, z = ((tmp_path / f"{name}.jsonl").read_bytes() for name in "xyz")
    assert x == y != z
    assert record(tmp_path / "x.jsonl") == record(tmp_path / "y.jsonl")


def test_another_source_changes_nothing_of_what_is_drawn_from_the_others(data, tmp_path, three):
    assert data("mix", "a.jsonl=1", "b.jsonl=1", "--into", "x.jsonl", "--total", 200)[0] == 0
    assert data("mix", "c.jsonl=1", "a.jsonl=1", "b.jsonl=1", "--into", "y.jsonl", "--total", 300)[0] == 0
    x, y = ({item.sample.instruction for item in judgekit.data.read_items(tmp_path / f"{name}.jsonl")} for name in "xy")
    assert x < y


def test_examples_proportional_with_a_cap(data, tmp_path, three):
    mix = ("mix", "a.jsonl", "b.jsonl", "c.jsonl", "--examples-proportional")
    assert data(*mix, "--into", "all.jsonl")[0] == 0
    assert counted(tmp_path / "all.jsonl") == {"a": 3000, "b": 1000, "c": 100}, "without a total: all of them"
    assert data(*mix, "--cap", 900, "--total", 950, "--into", "m.jsonl")[0] == 0
    assert counted(tmp_path / "m.jsonl") == {"a": 450, "b": 450, "c": 50}


@each(1, 2, 5)
def test_temperature_as_in_t5_and_flan(temperature, data, tmp_path, three):
    mix = ("mix", "a.jsonl", "b.jsonl", "c.jsonl", "--temperature", temperature, "--cap", 2000)
    assert data(*mix, "--total", 150, "--into", "m.jsonl")[0] == 0
    rates = {name: size ** (1 / temperature) for name, size in (("a", 2000), ("b", 1000), ("c", 100))}
    for name, count in counted(tmp_path / "m.jsonl").items():
        assert abs(count - 150 * rates[name] / sum(rates.values())) < 1


def test_tasks_have_equal_shares_wherever_they_stand(data, tmp_path, written):
    written([*items("a", 50, task="sum"), *items("b", 10, task="sort")], "x.json")
    written([*items("c", 50, task="sort"), *items("d", 50, task="name")], "y.json")
    mix = ("mix", "x.json", "y.json", "--task-proportional", "--task-field", "task", "--into", "m.json")
    code, out, _ = data(*mix)
    assert (code, "33.33%" in out) == (0, True)
    assert Counter(item.fields["task"] for item in judgekit.data.read_items(tmp_path / "m.json")) == dict.fromkeys(
        ("sum", "sort", "name"), 50
    )
    written([*items("a", 3, task="sum"), *items("e", 1)], "x.json")
    code, _, err = data(*mix[:-1], "n.json")
    assert (code, "x.json:1: item 4: has no 'task'" in err) == (2, True)


def test_a_share_of_chain_of_thought_by_file_and_by_field(data, tmp_path, three, written):
    written(items("thinks", 500), "cot.jsonl")
    mix = ("mix", "a.jsonl=1", "cot.jsonl=1", "--cot-share", 0.1, "--total", 1000)
    assert data(*mix, "--cot-file", "cot.jsonl", "--into", "m.jsonl")[0] == 0
    assert counted(tmp_path / "m.jsonl") == {"a": 900, "thinks": 100}
    written([*items("plain", 800), *items("thinks", 200, cot=True)], "both.jsonl")
    assert data("mix", "both.jsonl", "--cot-field", "cot", "--cot-share", 0.5, "--into", "n.jsonl")[0] == 0
    assert counted(tmp_path / "n.jsonl") == {"plain": 200, "thinks": 200}
    pools = record(tmp_path / "n.jsonl")["pools"]
    assert [pool["name"] for pool in pools] == ["both.jsonl", "both.jsonl (chain of thought)"]


def test_what_came_from_where_is_recorded(data, tmp_path, three):
    assert data("mix", "a.jsonl=1", "c.jsonl=1", "--total", 400, "--repeat", "--into", "m.jsonl")[0] == 0
    found = record(tmp_path / "m.jsonl")
    assert (found["how"], found["seed"], found["total"]) == ("weights", 0, 400)
    assert found["pools"][1] == {
        "name": "c.jsonl",
        "available": 100,
        "requested": 0.5,
        "realised": 0.5,
        "items": 200,
        "repeated": 100,
    }
    assert [(one["items"], one["different"]) for one in found["sources"]] == [(200, 200), (200, 100)]
    assert len(found["sources"][0]["sha256"]) == 64
    repeats = Counter(item.sample.instruction for item in judgekit.data.read_items(tmp_path / "m.jsonl"))
    assert {repeats[f"c {number}"] for number in range(100)} == {2}


def test_an_exhausted_source_is_an_error_that_says_what_fits(data, three):
    code, _, err = data("mix", "a.jsonl=1", "c.jsonl=1", "--total", 400, "--into", "m.jsonl")
    assert code == 2
    assert "c.jsonl has 100 items, and 200 are wanted. Repeat them (--repeat), or take at most 200 items" in err


def test_at_most_so_many_items_of_a_source(data, tmp_path, three):
    mix = ("mix", "a.jsonl", "b.jsonl", "c.jsonl", "--examples-proportional", "--into")
    assert data(*mix, "m.jsonl", "--most", 500, "--most", "b.jsonl=50")[0] == 0
    assert counted(tmp_path / "m.jsonl") == {"a": 500, "b": 50, "c": 100}
    code, _, err = data(*mix, "n.jsonl", "--most", "d.jsonl=5")
    assert (code, "--most: no source is 'd.jsonl'; did you mean" in err) == (2, True)


def test_ids_that_clash_are_told_apart(data, tmp_path, written):
    written([{"id": n, "instruction": f"a {n}", "output": "o"} for n in range(20)], "x.json")
    written([{"id": n, "instruction": f"b {n}", "output": "o"} for n in range(20)], "y.json")
    assert data("mix", "x.json=1", "y.json=1", "--total", 60, "--repeat", "--into", "m.json")[0] == 0
    ids = [item.sample.id for item in judgekit.data.read_items(tmp_path / "m.json")]
    assert len(set(ids)) == 60
    assert {"7", "7-2"} <= set(ids)


def test_other_formats_are_mixed_into_the_first(data, tmp_path, written):
    written([{"instruction": f"d {n}", "context": "", "response": "o", "category": "qa"} for n in range(9)], "d.jsonl")
    written(items("a", 9), "a.json")
    assert data("mix", "a.json=1", "d.jsonl=1", "--into", "m.jsonl")[0] == 0
    assert {item.format for item in judgekit.data.read_items(tmp_path / "m.jsonl")} == {"alpaca"}
    assert data("mix", "a.json=1", "d.jsonl=1", "--into", "n.jsonl", "--to", "messages")[0] == 0
    assert {item.format for item in judgekit.data.read_items(tmp_path / "n.jsonl")} == {"messages"}


@each(
    (["a.jsonl=0", "b.jsonl=0"], "the weights of a.jsonl, b.jsonl sum to nothing"),
    (["a.jsonl=-1", "b.jsonl=2"], "a.jsonl: a weight is a number from 0 on, not -1"),
    (["a.jsonl=nan", "b.jsonl=2"], "a.jsonl: a weight is a number from 0 on, not nan"),
    (["a.jsonl=inf", "b.jsonl=2"], "a.jsonl: a weight is a number from 0 on, not inf"),
    (["a.jsonl=x", "b.jsonl=2"], "a.jsonl=x: 'x' is no weight"),
    (["a.jsonl=1", "b.jsonl"], "b.jsonl has no weight, and others do"),
    (["a.jsonl=1", "a.jsonl=2"], "a.jsonl is named twice"),
    (["a.jsonl", "b.jsonl"], "what are the shares?"),
    (["a.jsonl=1", "b.jsonl=1", "--task-proportional"], "each says what the shares are; give one"),
    (["a.jsonl", "b.jsonl", "--temperature", "0"], "--temperature is a number above 0"),
    (["a.jsonl", "b.jsonl", "--temperature", "nan"], "--temperature is a number above 0"),
    (["a.jsonl=1", "--cap", "5"], "--cap is for shares that follow from sizes"),
    (["a.jsonl=1", "--cot-share", "0.5"], "needs both"),
    (["a.jsonl=1", "--cot-share", "0.5", "--cot-file", "e.jsonl"], "--cot-file: no source is 'e.jsonl'"),
    (["a.jsonl=1", "--cot-share", "0.5", "--cot-field", "catgory"], "did you mean 'category'?"),
    (["a.jsonl=1", "--cot-share", "0.5", "--cot-file", "a.jsonl"], "50% are to be anything else"),
    (["a.jsonl=1", "--most", "0"], "--most 0: write a number from 1 on"),
    (["none.jsonl=1"], "none.jsonl: no such file"),
    (["a.jsonl=1", "--to", "alpacca"], "did you mean 'alpaca'?"),
)
def test_what_cannot_be_mixed_is_told(arguments, message, data, tmp_path, few):
    code, _, err = data("mix", *arguments, "--into", "m.jsonl")
    assert (code, message in err) == (2, True), err
    assert not (tmp_path / "m.jsonl").exists()


def test_a_mixture_is_not_overwritten_unasked(data, tmp_path, three):
    (tmp_path / "m.jsonl.mix.json").write_text("mine")
    code, _, err = data("mix", "a.jsonl=1", "--into", "m.jsonl")
    assert (code, "m.jsonl.mix.json: is there already" in err) == (2, True)
    assert data("mix", "a.jsonl=1", "--into", "m.jsonl", "--force")[0] == 0


def test_apportionment_is_within_one_item():
    pools = [
        mixing.Pool(name, range(10**6), share)
        for name, share in mixing.by_weight({"a": 1, "b": 1, "c": 1, "d": 7}).items()
    ]
    for total in (1, 2, 3, 7, 11, 50_000):
        counts = mixing.apportioned(pools, total)
        assert sum(counts) == total
        assert all(abs(count - pool.share * total) < 1 for count, pool in zip(counts, pools, strict=True))


@pytest.mark.parametrize("sizes", [(10, 10), (7, 31, 200), (1, 1000), (3, 5, 7, 11)])
def test_the_largest_mixture_without_repeats_is_that(sizes):
    shares = mixing.by_weight({str(place): 1 / (place + 1) for place in range(len(sizes))})
    pools = [mixing.Pool(name, range(size), shares[name]) for name, size in zip(shares, sizes, strict=True)]
    most = mixing.most_without_repeats(pools)

    def fits(total):
        counts = mixing.apportioned(pools, total)
        return all(count <= len(pool.members) for count, pool in zip(counts, pools, strict=True))

    assert fits(most)
    assert not fits(math.ceil(min(len(pool.members) / pool.share for pool in pools)) + len(pools))
