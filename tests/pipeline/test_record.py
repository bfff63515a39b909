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
