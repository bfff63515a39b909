"""`judgekit data split`: the book's split, by chance, and with near-duplicates on one side."""

import json

import judgekit
import judgekit.data
from judgekit_instructions.near import clusters, near_between, near_duplicates
from judgekit_instructions.options import question_of
from judgekit_instructions.splitting import grouped, in_order, shuffled
from tables import each

PARTS = ("train", "test", "validation")


def items(count):
    return [{"instruction": f"question {number}", "output": "o"} for number in range(count)]


def parts(folder, ending=".json"):
    return [judgekit.data.read_items(folder / f"{part}{ending}") for part in PARTS]


def test_the_books_file_is_split_as_in_the_book(data, tmp_path, shared_data):
    source = shared_data / "instructions" / "instruction-data.json"
    code, out, err = data("split", source, "--into", "parts")
    assert code == 0
    assert out.splitlines()[-1] == "parts"
    assert "85.00%" in out
    assert "--grouped keeps them together" in err
    assert [len(part) for part in parts(tmp_path / "parts")] == [935, 110, 55]
    whole = json.loads(source.read_text())
    assert [one for part in PARTS for one in json.loads((tmp_path / "parts" / f"{part}.json").read_text())] == whole
    for part, found in zip(PARTS, parts(tmp_path / "parts"), strict=True):
        read = judgekit.data.read_instructions(source, part)
        assert [one.fields for one in found] == [one.fields for one in read]


def test_groups_stay_on_one_side_in_the_books_file(data, tmp_path, shared_data):
    source = shared_data / "instructions" / "instruction-data.json"
    assert data("split", source, "--into", "parts", "--grouped", "--seed", 3)[0] == 0
    asked = [[question_of(item.sample) for item in part] for part in parts(tmp_path / "parts")]
    assert [len(part) for part in asked] == [935, 110, 55]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert not near_between(asked[a], asked[b], 0.8)


def test_the_seed_chooses_and_nothing_is_overwritten(data, tmp_path, written):
    written(items(100), "a.jsonl")
    for into, seed in (("x", 1), ("y", 1), ("z", 2)):
        assert data("split", "a.jsonl", "--into", into, "--seed", seed)[0] == 0
    read = {name: [(tmp_path / name / f"{part}.jsonl").read_bytes() for part in PARTS] for name in "xyz"}
    assert read["x"] == read["y"] != read["z"]
    found = [item.sample.instruction for part in parts(tmp_path / "x", ".jsonl") for item in part]
    assert sorted(found) == sorted(f"question {number}" for number in range(100))
    assert [len(part) for part in parts(tmp_path / "x", ".jsonl")] == [85, 10, 5]
    written(items(40))
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "test.json").write_text("mine")
    code, _, err = data("split", "items.json", "--into", "p")
    assert (code, err) == (2, "error: p/test.json: is there already; --force replaces it\n")
    assert [path.name for path in (tmp_path / "p").iterdir()] == ["test.json"]
    assert data("split", "items.json", "--into", "p", "--force")[0] == 0


def test_groups_and_conversations_stay_together(data, tmp_path, written):
    written([{**one, "author": f"a{number % 7}"} for number, one in enumerate(items(70))])
    assert data("split", "items.json", "--into", "p", "--group-by", "author", "--shares", "60/20/20")[0] == 0
    authors = [{item.fields["author"] for item in part} for part in parts(tmp_path / "p")]
    assert sum(map(len, authors)) == len(set.union(*authors)) == 7
    code, _, err = data("split", "items.json", "--into", "q", "--group-by", "autor")
    assert (code, "items.json:1: item 1: no field 'autor' to group by; did you mean 'author'?" in err) == (2, True)
    talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    written([{"messages": [{**talk[0], "content": f"hi {n}"}, talk[1]], "id": n} for n in range(20)], "t.jsonl")
    assert data("split", "t.jsonl", "--into", "p", "--shares", "80/20")[0] == 0
    assert [item.format for item in judgekit.data.read_items(tmp_path / "p" / "test.jsonl")] == ["messages"] * 4
    assert not (tmp_path / "p" / "validation.jsonl").exists()


def test_a_split_field_decides_unless_another_way_is_asked_for(data, tmp_path, written):
    written([{**one, "split": "test" if n < 5 else "train"} for n, one in enumerate(items(20))])
    assert data("split", "items.json", "--into", "p")[0] == 0
    assert len(judgekit.data.read_items(tmp_path / "p" / "test.json")) == 5
    assert data("split", "items.json", "--into", "q", "--seed", 0)[0] == 0
    for part, found in zip(PARTS, parts(tmp_path / "q"), strict=True):
        assert {item.fields["split"] for item in found} == {part}
    written([{**items(1)[0], "split": "train"}, items(2)[1]])
    code, _, err = data("split", "items.json", "--into", "r")
    assert (code, "item 2: no 'split', which other items have" in err) == (2, True)


@each(
    ("85/10", "sums to 95 %"),
    ("85/10/5/0", "write the percents"),
    ("many", "write the percents"),
    ("120/-20", "write the percents"),
    ("nan/50/50", "write the percents"),
)
def test_shares_that_are_none_are_refused(shares, message, data, written):
    written(items(40))
    code, _, err = data("split", "items.json", "--into", "p", "--shares", shares)
    assert (code, message in " ".join(err.split())) == (2, True)


def test_too_few_items_are_refused(data, tmp_path, written):
    written(items(5))
    code, _, err = data("split", "items.json", "--into", "p")
    assert (code, err) == (2, "error: items.json: there is none for test in 5 items\n")
    assert not (tmp_path / "p").exists()


@each(
    (b"", "error: bad.json: is empty\n"),
    (b'[{"instruction": "a",\n "output": "caf\xe9"}]', "error: bad.json:2: not UTF-8 text"),
    (
        b'[{"instruction": "a", "output": "b"},\n {"instruction": "a", "output": ""}]',
        "error: bad.json:2: item 2: 'output' is empty",
    ),
)
def test_bad_files_are_named_with_their_line(content, message, data, tmp_path):
    (tmp_path / "bad.json").write_bytes(content)
    for command in (["split", "bad.json", "--into", "p"], ["mix", "bad.json", "--into", "m.json"]):
        code, _, err = data(*command)
        assert (code, err[: len(message)]) == (2, message)


def test_an_empty_output_is_taken_where_that_is_asked_for(data, tmp_path, written):
    written([*items(39), {"instruction": "last", "output": ""}])
    assert data("split", "items.json", "--into", "p", "--allow-empty")[0] == 0


def test_parts_groups_and_clusters_are_cut_as_told():
    for count in range(300):
        expected = [len(judgekit.data.items.book_split(range(count), part)) for part in PARTS]
        assert list(judgekit.data.split_sizes(count).values()) == expected
    groups = [0] * 6 + [1] * 3 + list(range(2, 13))
    found = grouped(range(20), groups, {"train": 0.5, "test": 0.3, "validation": 0.2})
    assert {name: len(places) for name, places in found.items()} == {"train": 10, "test": 6, "validation": 4}
    assert sorted(place for places in found.values() for place in places) == list(range(20))
    found = in_order(shuffled(10, 4), {"train": 0.5, "test": 0.5})
    assert all(places == sorted(places) for places in found.values())
    assert sorted(found["train"] + found["test"]) == list(range(10))
    assert shuffled(10, 4) == shuffled(10, 4) != shuffled(10, 5)
    texts = ["name the capital of france, please", "name the capital of france, please!", "sort these"]
    assert clusters(3, near_duplicates(texts)) == [0, 0, 2]
