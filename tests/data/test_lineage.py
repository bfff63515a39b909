"""Which systems come of which trainings, and which others they were trained from."""

import pytest

from judgekit.data.lineage import Provenance, provenances


def config(models, **trainings):
    return {
        "train": trainings,
        "models": {name: {"backend": "gpt2", "checkpoint": place} for name, place in models.items()},
    }


def test_the_way_goes_back_to_the_first_training():
    found = provenances(
        config(
            {"base": "train:pretrain", "sft": "train:tune", "dpo": "train:prefer", "other": "gpt2"},
            pretrain={"trainer": "x"}, tune={"from": "train:pretrain"}, prefer={"from": "train:tune"},
        )
    )  # fmt: skip
    assert found == {
        "base": Provenance("base", ("pretrain",)),
        "sft": Provenance("sft", ("pretrain", "tune"), ("base",)),
        "dpo": Provenance("dpo", ("pretrain", "tune", "prefer"), ("sft", "base")),
    }
    assert found["dpo"].compared == ("sft", "base")
    assert found["sft"].compared == ("base",)


def test_a_checkpoint_from_elsewhere_is_an_ancestor_too():
    found = provenances(config({"plain": "gpt2", "tuned": "train:tune"}, tune={"from": "gpt2"}))
    assert found == {"tuned": Provenance("tuned", ("tune",), ("plain",))}


@pytest.mark.parametrize("tree", [{}, {"models": {"a": {"checkpoint": "train:gone"}}}, config({"a": "x"}, tune={})])
def test_nothing_trained_has_no_provenance(tree):
    assert provenances(tree) == {}


def test_a_ring_ends():
    found = provenances(config({"a": "train:one"}, one={"from": "train:two"}, two={"from": "train:one"}))
    assert found["a"].trainings == ("two", "one")
