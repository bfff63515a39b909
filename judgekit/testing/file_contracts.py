"""Contract tests for what reads files: data loaders and trainers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from judgekit.errors import Interrupted
from judgekit.files import sha256_of
from judgekit.records import Sample
from judgekit.secrets import one_line
from judgekit.testing.contract import Configured, left_out, must, silent, typed

_OF_THE_TIME = {"training.jsonl", "samples.jsonl", "summary.json"}  # what is said of a training, clocks included


class DataLoaderContract(Configured):
    """Tests that every data loader passes.

        class TestMine(judgekit.testing.DataLoaderContract):
            make = MyLoader
            options = {"path": "items.txt"}
            files = {"items.txt": "What is 2 and 2?\\t4\\n"}

    `damaged`: the same files with a fault that must be an error; by default, files that are not there.
    """

    damaged: ClassVar[Mapping[str, str]] = {}

    def test_samples_have_ids_of_their_own(self, tmp_path: Path) -> None:
        samples = self._samples(self.build(tmp_path))
        must(bool(samples), "it reads no sample of `files`")
        strange = [one for one in samples if not isinstance(one, Sample)]
        must(not strange, f"load() gives judgekit.Sample, not {one_line(repr(strange[:1]), 80)}")
        twice = [name for name, times in Counter(one.id for one in samples).items() if times > 1 or not name]
        must(not twice, f"samples are told apart by their id: {twice[:3]} is empty, or there more than once")

    def test_the_same_file_gives_the_same_samples(self, tmp_path: Path) -> None:
        loader = self.build(tmp_path)
        first, again = self._samples(loader), self._samples(loader)
        must(first == again, "load() gives other samples the second time: it is called more than once")
        must(first == self._samples(self.build(tmp_path)), "a second loader gives other samples of the same files")

    def test_inputs_are_the_files_that_are_read(self, tmp_path: Path) -> None:
        inputs = self.build(tmp_path).inputs()
        _are_files(inputs)
        must(bool(inputs), "inputs() is empty: the run would not notice that its data is another one")
        _have(inputs, tmp_path, self.files)

    def test_what_cannot_be_read_is_an_error_that_says_where(self, tmp_path: Path) -> None:
        loader = self.build(tmp_path)
        for name in self.files:
            (tmp_path / name).unlink()
        for name, text in self.damaged.items():
            (tmp_path / name).write_text(text, "utf-8")
        if not self.files:
            left_out("give `files`, which the loader reads")
        with typed("load() of a file that is not there, or damaged") as caught:
            list(loader.load())
        said = str(caught[0])
        named = any(part in said for name in self.files for part in Path(name).parts)
        must(named, f"the error does not name the file: {one_line(said)}")

    def _samples(self, loader: Any) -> list[Sample]:
        with silent("load"):
            return list(loader.load())


class TrainerContract(Configured):
    """Tests that every trainer passes: `make`, `options` and `files` as for a data loader. Keep the training short: it
    is done three times."""

    def test_the_same_inputs_give_the_same_weights(self, tmp_path: Path) -> None:
        made = [self._trained(tmp_path, name) for name in ("first", "second")]
        must(bool(made[0]), "train() writes nothing into the folder")
        other = [name for name in {*made[0], *made[1]} - _OF_THE_TIME if made[0].get(name) != made[1].get(name)]
        must(
            not other, f"a second training of the same files writes another {', '.join(sorted(other))}: seed what draws"
        )

    def test_inputs_are_the_files_that_are_read(self, tmp_path: Path) -> None:
        trainer = self.build(tmp_path)
        inputs = trainer.inputs()
        _are_files(inputs)
        _have(inputs, tmp_path, self.files)
        with silent("check"):
            trainer.check()
        strange = [one for one in trainer.learnt() if not isinstance(one, Sample)]
        must(not strange, f"learnt() gives judgekit.Sample, not {one_line(repr(strange[:1]), 80)}")

    def test_it_can_be_interrupted(self, tmp_path: Path) -> None:
        told = []

        def progress(done: int, total: int, note: str) -> None:
            told.append((done, total))
            raise Interrupted("enough")

        into = tmp_path / "checkpoint"
        into.mkdir()
        trainer = self.build(tmp_path)
        with typed("progress(), which raises Interrupted,") as caught, silent("train"):
            trainer.train(into, progress)
            must(bool(told), "train() never calls progress(done, total, note): nobody sees it move, nor can stop it")
        must(isinstance(caught[0], Interrupted), "Interrupted is for the run: let it through")

    def test_files_that_are_not_there_are_an_error(self, tmp_path: Path) -> None:
        if not self.files:
            left_out("give `files`, which the trainer reads")
        trainer = self.build(tmp_path)
        for name in self.files:
            (tmp_path / name).unlink()
        (tmp_path / "checkpoint").mkdir()
        with typed("a training without its files"):
            trainer.check()
            trainer.train(tmp_path / "checkpoint", lambda done, total, note: None)

    def _trained(self, where: Path, name: str) -> dict[str, str]:
        into = where / name
        into.mkdir()
        with silent("train"):
            self.build(where).train(into, lambda done, total, note: None)
        return {path.relative_to(into).as_posix(): sha256_of(path) for path in into.rglob("*") if path.is_file()}


def _are_files(inputs: Any) -> None:
    fine = isinstance(inputs, list) and all(isinstance(path, Path) for path in inputs)
    must(fine, f"inputs() is a list of paths, not {one_line(repr(inputs), 80)}")
    gone = [str(path) for path in inputs if not path.is_file()]
    must(not gone, f"inputs() names {gone[:1]}, where no file is: resolve paths by self.path(…)")


def _have(inputs: list[Path], where: Path, files: Any) -> None:
    named = {path.resolve() for path in inputs}
    missing = [name for name in files if (where / name).resolve() not in named]
    must(not missing, f"inputs() leaves out {missing}: the run would not notice that the file changed")
