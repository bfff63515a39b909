"""The MMLU loader: the original layout, shots from dev, and broken files."""

from pathlib import Path

import pytest

import judgekit
from judgekit.config.load import load
from judgekit_datasets.mmlu import MMLU, MMLUOptions


def folder(tmp_path: Path, test: str = '"Is it, so?",yes,no,maybe,never,B\nplain,1,2,3,4,D\n') -> Path:
    for split, text in (("test", test), ("dev", "\n".join(f"dev {n},a,b,c,d,A" for n in range(5)) + "\n")):
        (tmp_path / split).mkdir()
        (tmp_path / split / f"logic_{split}.csv").write_text(text)
    return tmp_path


def test_questions_and_shots(tmp_path: Path) -> None:
    loader = MMLU(MMLUOptions(path=str(folder(tmp_path)), shots=3))
    samples = list(loader.load())
    assert [(sample.id, sample.category, sample.answer) for sample in samples] == [
        ("logic-0000", "logic", 1),
        ("logic-0001", "logic", 3),
    ]
    assert samples[0].instruction == "Is it, so?"
    assert samples[0].choices == ("yes", "no", "maybe", "never")
    assert [shot.instruction for shot in loader.shots(samples[0])] == ["dev 0", "dev 1", "dev 2"]
    assert len(loader.inputs()) == 2
    assert not MMLU(MMLUOptions(path=str(tmp_path), shots=0)).shots(samples[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b,c,d,e\n", r"logic_test\.csv:1: 5 columns"),
        ("q,a,b,c,d,A\nq,a,b,c,d,E\n", r"logic_test\.csv:2: the answer is 'E'"),
        ("q,a,b,c,d,AB\n", r"the answer is 'AB'"),
        ("", r"is empty"),
        ('q,"a\n', r"not CSV"),
        ("question,A,B,C,D,answer\nq,a,b,c,d,A\n", r"logic_test\.csv:1: a header; this layout has none"),
        ("q,a,,c,d,A\n", r"logic_test\.csv:1: option B is empty"),
        (" ,a,b,c,d,A\n", r"logic_test\.csv:1: the question is empty"),
        ("q,a,b,c,d,A\nq,a,b,c,d,\n", r"logic_test\.csv:2: the answer is ''"),
        ('"q\n1",a,b,c,d,A\nq,a,b,c,A\n', r"logic_test\.csv:3: 5 columns"),
    ],
)
def test_broken_files_say_where(tmp_path: Path, text: str, expected: str) -> None:
    loader = MMLU(MMLUOptions(path=str(folder(tmp_path, text))))
    with pytest.raises(judgekit.DataError, match=expected):
        list(loader.load())


def test_unknown_subjects_and_folders(tmp_path: Path) -> None:
    with pytest.raises(judgekit.DataError, match=r"no subject is named 'magic' \(there are: logic\)"):
        list(MMLU(MMLUOptions(path=str(folder(tmp_path)), subjects=("magic",))).load())
    with pytest.raises(judgekit.DataError, match="no file named"):
        list(MMLU(MMLUOptions(path=str(tmp_path / "none"))).load())


def test_examples_that_are_missing_or_too_few_are_said_before_any_question(tmp_path: Path) -> None:
    path = folder(tmp_path)
    dev = path / "dev" / "logic_dev.csv"
    dev.write_text("q,a,b,c,d,A\n" * 3)
    loader = MMLU(MMLUOptions(path=str(path)))
    with pytest.raises(judgekit.DataError, match=r"logic_dev\.csv: has 3 questions, fewer than the 5 shots asked for"):
        next(loader.load())
    assert len(list(MMLU(MMLUOptions(path=str(path), shots=3)).load())) == 2
    dev.unlink()
    with pytest.raises(judgekit.DataError, match=r"logic_dev\.csv: no such file: the 5 shots of logic come from it"):
        next(MMLU(MMLUOptions(path=str(path))).load())
    assert len(list(MMLU(MMLUOptions(path=str(path), shots=0)).load())) == 2


def test_the_first_questions_of_each_subject_and_no_subject_twice(tmp_path: Path) -> None:
    path = str(folder(tmp_path))
    assert [sample.id for sample in MMLU(MMLUOptions(path=path, per_subject=1)).load()] == ["logic-0000"]
    with pytest.raises(ValueError, match="'logic' is named twice"):
        MMLUOptions(path=path, subjects=("logic", "logic"))


@pytest.mark.shared
def test_all_of_mmlu(shared_data: Path) -> None:
    loader = MMLU(MMLUOptions(path=str(shared_data / "mmlu")))
    samples = list(loader.load())
    assert len(samples) == 14_042
    assert len({sample.category for sample in samples}) == 57
    assert len({sample.id for sample in samples}) == len(samples)
    dev = list(MMLU(MMLUOptions(path=str(shared_data / "mmlu"), split="dev", shots=0)).load())
    assert len(dev) == 285
    shares = [100 * sum(sample.answer == letter for sample in samples) / len(samples) for letter in range(4)]
    assert [round(share, 2) for share in shares] == [22.95, 24.65, 25.51, 26.89]


@pytest.mark.shared
@pytest.mark.parametrize(("per_subject", "questions"), [(20, 200), (None, 2071)])
def test_the_example_asks_ten_subjects(
    shared_data: Path, checkout: Path, per_subject: int | None, questions: int
) -> None:
    spec = load(checkout / "examples" / "multiple_choice" / "mmlu.yaml", [f"data.path={shared_data / 'mmlu'}"])
    assert spec.data.options["per_subject"] == 20
    options = MMLUOptions.model_validate(spec.data.options | {"per_subject": per_subject})
    samples = list(MMLU(options).load())
    assert (len(samples), len({sample.category for sample in samples})) == (questions, 10)
