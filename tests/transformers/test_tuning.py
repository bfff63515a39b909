"""Tuning by the Hugging Face Trainer: it learns, silently, to the same weights every time, and can be stopped."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

import judgekit
from full_disk import full_disk
from judgekit.testing import tiny_llama, tiny_models
from judgekit_transformers.backend import TransformersBackend, TransformersOptions
from judgekit_transformers.tuning import SupervisedTuning
from tiny_training import Killed, contents, curve, write_colours

LOGS = {"samples.jsonl", "summary.json", "training.jsonl"}
FILES = LOGS | {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("tuning")
    write_colours(made / "items.json", question="colour of {}")
    tiny_llama.folder(made / "llama")
    tiny_models.t5(made / "t5", dropout_rate=0.1)
    for seed in range(3):
        tiny_models.t5(made / f"t5 {seed}", seed=seed, dropout_rate=0.0)
    return made


def trainer(folder, kind, **options):
    settings = {"from": kind, "data": "items.json", "epochs": 3, "batch": 3, "lr": 0.01, "precision": "float32"}
    settings |= {"evaluate_every": 3, "samples": 1} | options
    settings = {key: value for key, value in settings.items() if value is not None or key in ("clip", "validation")}
    return SupervisedTuning(judgekit.build_options(SupervisedTuning.Options, settings, "train.sft"), folder)


def train(folder, into, kind, stop=None, error=judgekit.Interrupted, **options):
    """Train, or end when the step `stop` is done; the steps that were made."""
    into.mkdir(exist_ok=True)
    steps = []

    def progress(done, total, note):
        steps.append(done)
        if done == stop:
            raise error("stopped")

    trainer(folder, kind, **options).train(into, progress)
    return steps


@pytest.fixture(scope="module")
def tuned(folder, tmp_path_factory):
    """A folder of each kind, trained to the end; random numbers of the process before and after."""
    made = {}
    for kind in ("llama", "t5"):
        made[kind] = tmp_path_factory.mktemp("tuned") / kind
        before = torch.random.get_rng_state()
        train(folder, made[kind], kind)
        assert torch.equal(torch.random.get_rng_state(), before), "what others draw is as if nothing had been trained"
    return made


@pytest.mark.parametrize("kind", ["llama", "t5 0", "t5 1", "t5 2"])
def test_it_learns_six_answers_by_heart(folder, tmp_path, kind):
    """Without dropout, all in one batch: after 40 steps a twentieth of the loss is left, whatever the rounding, so
    that a quarter is far from both that and nothing learnt."""
    train(folder, tmp_path / "run", kind, steps=40, epochs=None, batch=6, lr=0.03, evaluate_every=40, samples=0)
    first, last = curve(tmp_path / "run", "validation")
    assert last["loss"] < first["loss"] / 4


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_it_leaves_a_checkpoint_that_the_backend_reads(tuned, kind):
    assert [point["step"] for point in curve(tuned[kind], "validation")] == [0, 3, 6]
    assert {path.name for path in tuned[kind].iterdir()} - {"chat_template.jinja"} == FILES, "no state, no pickle"
    samples = [json.loads(line) for line in (tuned[kind] / "samples.jsonl").read_text().splitlines()]
    assert [(sample["step"], sample["reference"]) for sample in samples] == [(2, "green"), (4, "green"), (6, "green")]
    assert json.loads((tuned[kind] / "summary.json").read_text())["learnt"] == 6
    backend = TransformersBackend(TransformersOptions(model=str(tuned[kind])))
    assert backend.check() == []
    message = judgekit.Message(role="user", content=samples[-1]["prompt"])
    sampling = judgekit.Sampling(max_new_tokens=64, temperature=0)
    (reply,) = backend.generate([judgekit.Request(messages=(message,), sampling=sampling)])
    assert reply.text == samples[-1]["text"], "what it wrote in training is what it answers"


def test_the_curve_is_the_mean_over_targets(folder, tuned):
    """The last validation loss, from the log-likelihoods of the backend: those of the responses, without their ends."""
    backend = TransformersBackend(TransformersOptions(model=str(tuned["t5"])))
    items = [item for item in json.loads((folder / "items.json").read_text()) if item["split"] == "validation"]
    total = count = 0.0
    for item in items:
        message = judgekit.Message(role="user", content=item["instruction"])
        request = judgekit.Request(messages=(message,), continuations=(item["output"] + "</s>",))
        values = backend.loglikelihood([request])[0].continuations[0].token_logprobs
        total, count = total - sum(values), count + len(values)
    assert curve(tuned["t5"], "validation")[-1]["loss"] == pytest.approx(total / count, abs=1e-4)


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_stopped_or_killed_it_goes_on_to_the_same_bytes_and_prints_nothing(folder, tuned, tmp_path, kind, capfd):
    into = tmp_path / "run"
    with pytest.raises(judgekit.Interrupted):
        train(folder, into, kind, stop=3)  # Ctrl-C, within the second epoch: the state is saved
    with pytest.raises(Killed):
        train(folder, into, kind, stop=5, error=Killed)  # lost are the steps since
    half = into / "state" / "checkpoint-9"
    shutil.copytree(into / "state" / "checkpoint-3", half)
    (half / "judgekit.json").unlink()  # a state that was being written when the process died
    assert train(folder, into, kind) == [4, 5, 6]
    assert contents(into) == contents(tuned[kind])
    assert capfd.readouterr() == ("", "")


def test_another_seed_gives_other_weights_and_a_state_of_it_is_not_gone_on_from(folder, tuned, tmp_path):
    into = tmp_path / "run"
    with pytest.raises(judgekit.Interrupted):
        train(folder, into, "llama", stop=2, seed=1)
    assert train(folder, into, "llama", steps=6, epochs=None, samples=0, seed=2) == [1, 2, 3, 4, 5, 6]
    assert (into / "model.safetensors").read_bytes() != (tuned["llama"] / "model.safetensors").read_bytes()


def test_batches_accumulate_to_one_step_whatever_their_lengths(folder, tmp_path):
    """The mean is over the targets of the step, not over its batches."""
    for name, batch, accumulate in (("a", 6, 1), ("b", 2, 3)):
        options = {"batch": batch, "accumulate": accumulate, "epochs": None, "steps": 1, "samples": 0, "lr": 1e-3}
        train(folder, tmp_path / name, "llama", **options)
    (a,), (b,) = (curve(tmp_path / name, "train") for name in "ab")
    assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)
    assert a["measures"]["tokens"] == b["measures"]["tokens"]
    weights = [load_file(tmp_path / name / "model.safetensors") for name in "ab"]
    start = load_file(folder / "llama" / "model.safetensors")
    for name, tensor in weights[0].items():
        # Adam's first step is the gradient's sign, by the learning rate
        assert (torch.sign(tensor - start[name]) == torch.sign(weights[1][name] - start[name])).float().mean() > 0.98


def test_bfloat16_learns_and_keeps_float32_weights(folder, tmp_path):
    short = {"precision": "bfloat16", "steps": 20, "epochs": None, "batch": 6, "evaluate_every": 20, "samples": 0}
    train(folder, tmp_path / "low", "llama", **short)
    first, last = curve(tmp_path / "low", "validation")
    assert last["loss"] < first["loss"] / 4, "an eighteenth is left in either precision"
    assert {tensor.dtype for tensor in load_file(tmp_path / "low" / "model.safetensors").values()} == {torch.float32}


def test_a_loss_that_is_not_finite_ends_it_with_step_and_items(folder, tmp_path):
    where = r"the loss became nan at step [23] \(epoch [12]: items \w+ 0, \w+ 0, \w+ 0\); .* learning rate"
    with pytest.raises(judgekit.UsageError, match=where):
        train(folder, tmp_path / "run", "llama", lr=1e30, clip=None, validation=None, samples=0, warmup=0)
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_a_full_disk_is_said_and_leaves_no_checkpoint(folder, tmp_path):
    with full_disk(20_000):
        with pytest.raises(judgekit.StorageError, match="the state cannot be written"):
            train(folder, tmp_path / "a", "llama", save_every=1, samples=0)
        with pytest.raises(judgekit.StorageError, match="the checkpoint cannot be written"):
            train(folder, tmp_path / "b", "llama", steps=1, epochs=None, samples=0)
    assert train(folder, tmp_path / "a", "llama", save_every=1, samples=0)[-1] == 6


def test_items_that_are_cut_are_counted_in_the_report_and_while_it_trains(folder, tmp_path):
    said = []
    tuned = trainer(folder, "llama", max_length=40, truncate=True, steps=1, epochs=None, samples=0, chat=False)
    (tmp_path / "run").mkdir()
    tuned.train(tmp_path / "run", lambda done, total, note: said.append(note))
    assert "items" not in said[0]
    counts = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert counts == {"learnt": 6, "held out": 6, "cut short": 0}
    tuned = trainer(folder, "llama", max_length=20, truncate=True, steps=1, epochs=None, samples=0, chat=False)
    (tmp_path / "cut").mkdir()
    tuned.train(tmp_path / "cut", lambda done, total, note: said.append(note))
    counts = json.loads((tmp_path / "cut" / "summary.json").read_text())
    assert 0 < counts["cut short"] < 12
    assert said[1].endswith(f"; {counts['cut short']} of 12 items cut: longer than 20 tokens")


def test_it_opens_no_connection_and_needs_none(folder, tmp_path, monkeypatch):
    import socket

    def refuse(*_):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    train(folder, tmp_path / "run", "llama", steps=1, epochs=None, samples=0)
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_what_is_wrong_is_found_before_anything_is_trained(folder, tmp_path):
    with pytest.raises(judgekit.ConfigError, match="did you mean 'epochs'"):
        trainer(folder, "llama", epoch=3)
    with pytest.raises(judgekit.ConfigError, match="not both"):
        trainer(folder, "llama", steps=3)
    with pytest.raises(judgekit.ConfigError, match="'split: test' learns what 'validation: test' holds out"):
        trainer(folder, "llama", split="test", validation="test")
    with pytest.raises(judgekit.CheckpointError, match="no model folder or GGUF file is there"):
        trainer(folder, "lama").inputs()
    assert trainer(folder, str(tmp_path / "made-later")).inputs() == [folder / "items.json"]
    assert folder / "llama" / "model.safetensors" in trainer(folder, "llama").inputs()
