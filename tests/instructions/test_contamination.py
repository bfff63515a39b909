"""`judgekit data contamination`, and the same before a run."""

import json

import pytest

import judgekit
import judgekit.data
from judgekit_instructions.overlap import overlap, seen_in_training


def test_the_books_file_has_two_test_items_in_its_training_part(data, shared_data):
    source = shared_data / "instructions" / "instruction-data.json"
    code, out, _ = data("contamination", source, "--json")
    assert code == 0
    found = json.loads(out)
    items = judgekit.data.read_items(source)
    asked = [(item.sample.instruction, item.sample.input) for item in items]
    expected = [place for place in range(935, 1045) if asked[place] in asked[:935]]
    assert [one["test"]["id"] for one in found["exact"]] == [items[place].sample.id for place in expected]
    assert len(found["exact"]) == 2
    assert (found["training_items"], found["test_items"]) == (935, 110)
    assert all(one["similarity"] < 1 for near in found["near"] for one in near["train"])
    code, out, _ = data("contamination", source)
    assert (code, "2 exactly, 7 nearly" in out) == (0, True)


TRAIN = [
    ("Name the capital of France, please.", "", "Paris"),
    ("Sort the words in the list by their first letter.", "b a", "a b"),
    ("Add 2 and 2.", "", "4"),
]
TEST = [
    ("name the capital of  france, please.", "", "It is Paris."),
    ("Sort the words in this list by their first letter.", "b a", "a b"),
    ("Say hello.", "", "hello"),
]


def write(path, rows, **fields):
    keys = ("instruction", "input", "output")
    path.write_text(json.dumps([dict(zip(keys, row, strict=True), **fields) for row in rows]))


@pytest.fixture
def files(tmp_path):
    write(tmp_path / "train.json", TRAIN, split="train")
    write(tmp_path / "test.json", TEST)
    return tmp_path


def test_two_files_and_what_is_left_of_the_first(data, files):
    code, out, err = data("contamination", "train.json", "test.json", "--filter", "clean.json")
    assert code == 0
    assert "3 test items, of which in the 3 training items: 1 exactly, 1 nearly" in out
    assert err == "dropped 2 of 3 training items\n"
    assert [item.sample.instruction for item in judgekit.data.read_items(files / "clean.json")] == ["Add 2 and 2."]
    assert data("contamination", "train.json", "test.json", "--filter", "clean.json")[0] == 2
    code, out, _ = data("contamination", "train.json", "test.json", "--threshold", 1)
    assert (code, "1 exactly, 0 nearly" in out) == (0, True)


def test_options_of_a_question_belong_to_it():
    def sample(*choices):
        return judgekit.Sample(id="1", instruction="Which of these is true?", choices=choices, answer=0)

    one, other = sample("water is wet", "fire is cold"), sample("snow is black", "grass is blue")
    assert overlap([one], [one], 0.8).exact == {0: [0]}
    assert not overlap([one], [other], 0.8).exact


def spec_of(files, asked, training, **extra):
    return {
        "name": "x",
        "data": asked,
        "train": {"sft": {"trainer": "gpt2-finetune", "from": "y", "data": "train.json", **training}},
        "models": {"sft": {"backend": "gpt2", "checkpoint": "train:sft"}},
        "metrics": {"exact": {"type": "exact_match"}},
        **extra,
    }


def checked(files, asked, training):
    """The warnings of the check, on real parts of a config."""
    from judgekit.config.load import build_options
    from judgekit.plugins import Catalogue, build_manager

    spec = judgekit.RunConfig.model_validate(spec_of(files, asked, training))
    catalogue = Catalogue(build_manager())
    loader = catalogue.get("datasets", spec.data.loader)
    trainer = catalogue.get("trainers", "gpt2-finetune")
    samples = list(loader(build_options(loader.Options, spec.data.options, "data"), files).load())
    built = trainer(build_options(trainer.Options, spec.train["sft"].options, "train.sft"), files)
    return list(seen_in_training({"sft": built}, {"data": samples}))


def test_a_run_on_other_items_has_no_warning(files):
    write(files / "other.json", [TEST[2]])
    assert checked(files, {"path": "other.json"}, {}) == []


def test_a_run_on_items_that_its_training_learns_is_warned(files):
    (problem,) = checked(files, {"path": "test.json"}, {})
    assert (problem.severity, problem.where) == ("warning", "train.sft")
    assert problem.message.startswith(
        "learns 1 of the 3 samples of data and nearly 1 more (such as 'name the capital of france, please.')"
    )


def test_only_the_split_that_is_learnt_counts(tmp_path):
    rows = [(f"Question about topic number {number * 7919}?", "", "o") for number in range(20)]
    write(tmp_path / "train.json", rows)
    assert checked(tmp_path, {"path": "train.json", "split": "test"}, {}) == []
    (problem,) = checked(tmp_path, {"path": "train.json", "split": "train"}, {})
    assert problem.message.startswith("learns 17 of the 17 samples")
    (problem,) = checked(tmp_path, {"path": "train.json", "split": "test"}, {"split": "test"})
    assert problem.message.startswith("learns 2 of the 2 samples")


def test_conversations_are_held_against_instructions_too(files):
    talk = [{"role": "user", "content": TRAIN[0][0]}, {"role": "assistant", "content": "Paris"}]
    (files / "talks.jsonl").write_text(json.dumps({"messages": talk}))
    (problem,) = checked(files, {"loader": "conversations", "path": "talks.jsonl"}, {})
    assert problem.message.startswith("learns 1 of the 1 sample of data")


def test_a_trainer_may_call_anything_data(files):
    class Options(judgekit.Options):
        data: str = "text.txt"  # no instructions, and not there

    class Nothing(judgekit.Trainer):
        def inputs(self):
            return []

        def train(self, into, progress):
            raise NotImplementedError

    samples = {"data": [judgekit.Sample(id="1", instruction="Say hello.")]}
    assert list(seen_in_training({"x": Nothing(Options(), files)}, samples)) == []


def test_data_that_cannot_be_read_is_said_and_not_passed_over(files):
    class Reader(judgekit.Trainer):
        def inputs(self):
            return []

        def learnt(self):
            return [item.sample for item in judgekit.data.read_items(self.path("text.txt"))]

        def train(self, into, progress):
            raise NotImplementedError

    (files / "text.txt").write_text("Once upon a time")
    (problem,) = seen_in_training({"x": Reader(where=files)}, {"data": []})
    assert (problem.severity, "nobody knows whether it has test items" in problem.message) == ("warning", True)


def test_a_run_says_it_before_it_trains(files, monkeypatch, capsys):
    from judgekit.cli import execute

    monkeypatch.chdir(files)
    training = {"trainer": "gpt2-pretrain", "data": "text.txt", "model": {"layers": 1, "heads": 1, "width": 8}}
    (files / "text.txt").write_text("Once upon a time. " * 50)
    config = spec_of(files, {"path": "test.json"}, {"from": "train:base", "validation": None})
    config["train"]["base"] = {**training, "tokenizer": {"bpe": 257}}
    (files / "judgekit.yaml").write_text(json.dumps(config))
    assert execute(["run", "judgekit.yaml", "--dry-run"]) == 0
    assert "warning: train.sft: learns 1 of the 3 samples of data and nearly 1 more" in capsys.readouterr().out
