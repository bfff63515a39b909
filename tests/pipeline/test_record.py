"""What a record says of who chose the data that a system learnt from."""

import json
from typing import Any

from judgekit.contracts import Trainer
from judgekit.data.lineage import JUDGED_BY, judge_fingerprint
from judgekit.hookspecs import hookimpl
from judgekit.pipeline.run import Run, Settings
from judgekit.records import Sample
from judgekit.testing import CopyTrainer
from parrot_runs import JUDGE, config, execute, manager, nest


class Chooser(CopyTrainer):
    """The trainer `chooser`: it learns items that a judge chose."""

    def learnt(self) -> list[Sample]:
        items = json.loads(self.path(self.options.data).read_text())
        return [Sample(id=item["id"], instruction="", metadata={JUDGED_BY: item[JUDGED_BY]}) for item in items]


class Plugin:
    @hookimpl
    def judgekit_trainers(self) -> dict[str, type[Trainer]]:
        return {"chooser": Chooser}


def trained(here, judged_by: Any):
    (here / "pairs.json").write_text(json.dumps([{"id": f"p{n}", JUDGED_BY: judged_by} for n in range(3)]))
    models = {"tuned": {"backend": "parrot", "answers": {"train": "train:dpo"}}, "base": {"backend": "parrot"}}
    models["tuned"]["fail_on"] = "train:dpo"
    settings = config(train={"dpo": {"trainer": "chooser", "data": "pairs.json"}}, models=models)
    plugins = manager()
    plugins.register(Plugin())
    return Run(settings, here, plugins, Settings(output=here / "runs", home=here / "home")).execute().record


def test_a_judge_of_its_own_pupil_is_said_aloud(tmp_path):
    identity = execute(config(), nest(tmp_path)).record.identities["judges.main"]
    own = judge_fingerprint(identity)
    for said in (own, [own, "0" * 16]):
        record = trained(tmp_path, said)
        assert own in record.pair_judges["tuned"]
        (line,) = [line for line in record.warnings if "chose the pairs" in line]
        assert line.startswith("tuned: judge main chose the pairs that this system was trained on")
    record = trained(tmp_path, "0" * 16)
    assert record.pair_judges == {"tuned": ("0" * 16,)}
    assert not [line for line in record.warnings if "chose the pairs" in line]
    assert JUDGE["backend"] == "parrot"


def test_few_different_responses_are_said_aloud(tmp_path):
    models = {"all": {"backend": "parrot"}, "one": {"backend": "parrot", "answers": {"": "Yes."}}}
    record = execute(config(models=models), nest(tmp_path)).record
    (line,) = [line for line in record.warnings if "different response" in line]
    assert line.startswith("one: only 1 different response to 12 questions")


def lossy(here, lost):
    """A run of 60 items in three categories, where the judge says nothing to read about the items in `lost`."""
    items = [{"id": f"i{n}", "instruction": f"Say word {n}.", "output": f"word {n}", "category": f"kind {n % 3}"}
             for n in range(60)]  # fmt: skip
    execute(config(), nest(here))  # makes the folder
    (here / "items.json").write_text(json.dumps(items))
    answers = {f"Say word {n}.": "Hm." for n in range(60) if lost(n)}
    judge = JUDGE | {"answers": answers, "control_items": 0}
    metrics = {"quality": {"type": "score", "judge": "main"}}
    return execute(config(judges={"main": judge}, metrics=metrics, models={"good": {"backend": "parrot"}}), here).record


def test_losses_that_follow_a_category_are_said_aloud(tmp_path):
    record = lossy(tmp_path, lambda n: n % 3 == 1 and n < 40)
    (line,) = [line for line in record.warnings if "go missing" in line or "are missing" in line]
    assert line.startswith("quality, category kind 1: 13 of 20 (65%) verdicts are missing, of the others 0 of 40 (0%)")
    assert not [line for line in lossy(tmp_path, lambda n: n % 4 == 1).warnings if "are missing" in line]
