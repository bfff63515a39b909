"""The trainers, from options as they stand in a config to a checkpoint folder."""

import copy
import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import chain

import pytest
import torch
from pydantic import ValidationError

import judgekit
from judgekit_gpt2 import checkpoint, weights
from judgekit_gpt2.config import GPT2Config
from judgekit_gpt2.epochs import order_of, spread
from judgekit_gpt2.inference import prepare
from judgekit_gpt2.options import BOOK
from judgekit_gpt2.tokens import Tokenizer
from judgekit_gpt2.trainers import DPO, DPOOptions, FinetuneOptions, PretrainOptions
from tiny_training import COLOURS, SCRIPT, SIZES, contents, curve, finetune, pretrain, train, write_colours, write_text


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with what is to be learnt, and a model to begin with."""
    folder = tmp_path_factory.mktemp("made")
    write_text(folder / "text.txt")
    write_colours(folder / "instructions.json", held_out=["sky"])
    train(_pretrain(folder), folder / "base")
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "colours")


def _pretrain(folder, **options):
    return pretrain(folder, **{"steps": 4, **options})


def _finetune(folder, start="base", **options):
    return finetune(folder, **{"from": start, "epochs": 2, **options})


def _splits(into):
    return {point["split"] for point in curve(into)}


def _json(path):
    return json.loads(path.read_text())


def test_pretraining_and_fine_tuning_make_self_contained_checkpoints(folder):
    assert train(_pretrain(folder), folder / "other") == [1, 2, 3, 4]
    points = [(point["step"], point["split"]) for point in curve(folder / "other")]
    assert points[:3] == [(0, "validation"), (1, "train"), (1, "validation")]
    model, tokenizer = weights.load(folder / "base")
    assert model.config == GPT2Config(vocabulary=300, **SIZES)
    assert train(_finetune(folder, dropout=0.3), folder / "sft")[-1] == 6, "11 items in batches of 4, twice"
    assert _splits(folder / "sft") == {"train", "validation"}
    tuned, vocabulary = weights.load(folder / "sft")
    assert vocabulary.merges == tokenizer.merges
    assert tuned.config == replace(model.config, dropout=0.3)
    assert not tuned.tokens.weight.equal(model.tokens.weight)


def test_an_output_layer_of_its_own_is_trained_and_kept_apart(folder):
    """As the book builds its model; fine-tuning, adapters and inference go on from it."""
    train(_pretrain(folder, model={**SIZES, "tied": False}), folder / "untied")
    base, tokenizer = weights.load(folder / "untied")
    assert not base.config.tied
    assert not torch.equal(base.output_weight, base.tokens.weight)
    train(_finetune(folder, str(folder / "untied"), steps=2, epochs=None), folder / "sft")
    sft, _ = weights.load(folder / "sft")
    assert not torch.equal(sft.output_weight, base.output_weight)
    train(_finetune(folder, str(folder / "untied"), lora={"rank": 2}, steps=2, epochs=None), folder / "lora")
    lora, _ = weights.load(folder / "lora")
    assert torch.equal(lora.output_weight, base.output_weight)
    ids = torch.tensor([tokenizer.encode("The colour of snow")])
    with torch.inference_mode():
        whole = sft.logits(sft(ids))
        for form in ({}, {"quantise": "int8"}):
            ready = prepare(copy.deepcopy(sft), **form)
            assert torch.allclose(ready.logits(ready(ids)).softmax(-1), whole.softmax(-1), atol=1e-2)


def test_the_same_options_give_the_same_bytes(folder):
    train(_pretrain(folder), folder / "b")
    train(_pretrain(folder, seed=1), folder / "c")
    assert contents(folder / "b") == contents(folder / "base")
    assert checkpoint.identity(folder / "b") != checkpoint.identity(folder / "c")
    for start in ("base", "b"):
        train(_finetune(folder, start), folder / f"from {start}")
    assert checkpoint.identity(folder / "from base") == checkpoint.identity(folder / "from b")


def test_another_process_gives_the_same_bytes(folder):
    """Hash seeds and import orders decide nothing."""
    (folder / "options.json").write_text(_pretrain(folder).options.model_dump_json())
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", SCRIPT, "Pretrain", "b"], check=True, cwd=folder, env=environment)
    assert checkpoint.identity(folder / "base") == checkpoint.identity(folder / "b")


def test_the_vocabulary_is_learnt_from_the_instructions_too(folder):
    """From the train split as it will be rendered, and from no other split."""
    items = _json(folder / "instructions.json")
    items.append({"id": "x", "instruction": "zzqzzq " * 50, "output": "zzqzzq", "split": "test"})
    items.append({"id": "y", "instruction": "wwkwwk " * 50, "output": "wwkwwk", "split": "train"})
    (folder / "instructions.json").write_text(json.dumps(items))
    own = {"bpe": 330, "instructions": "instructions.json", "style": "qa"}
    trainer = _pretrain(folder, tokenizer=own, steps=1)
    assert trainer.inputs() == [folder / "text.txt", folder / "instructions.json"]
    train(trainer, folder / "words")
    tokenizer = Tokenizer.of_checkpoint(folder / "words", 330)
    assert len(tokenizer.encode(" wwkwwk")) == 1
    assert len(tokenizer.encode(" zzqzzq")) == 7
    assert len(tokenizer.encode("Question:")) < len("Question:") / 2


def _talks(folder, *counts):
    """Conversations of so many turns each, as OpenAI messages."""
    turns = [
        ({"role": "user", "content": f"Colour of {thing}?"}, {"role": "assistant", "content": colour})
        for thing, colour in COLOURS.items()
    ]
    splits = ["validation", *["train"] * (len(counts) - 1)]
    items = [
        {"id": str(number), "split": split, "messages": [*chain.from_iterable(turns[:count])]}
        for number, (split, count) in enumerate(zip(splits, counts, strict=True))
    ]
    (folder / "talks.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))


def test_conversations_are_learnt_the_assistants_turns_alone(folder):
    train(_pretrain(folder, model={**SIZES, "context": 256}, validation=0), folder / "long")
    _talks(folder, 1, 2, 3, 2)
    trainer = _finetune(folder, "long", data="talks.jsonl", style="chatml", epochs=1, batch=8, samples=1)
    train(trainer, folder / "sft")
    tokenizer = Tokenizer.of_checkpoint(folder / "base", 300)
    learnt = [f"{colour}<|im_end|>" for count in (2, 3, 2) for colour in list(COLOURS.values())[:count]]
    assert curve(folder / "sft", "train")[-1]["measures"]["tokens"] == sum(
        len(tokenizer.encode(text)) for text in learnt
    )
    assert trainer.notes == ()


def test_a_style_of_ones_own_is_an_input(folder):
    """As a file beside the config, and as a tokenizer's chat template: another style is another training."""
    (folder / "own.j2").write_text("{#- end: <end> -#}\nQ: {{ instruction }}\nA:")
    turns = "{% for m in messages %}{{ m.role[0] }}: {{ m.content }}\n{% endfor %}"
    (folder / "chat.jinja").write_text(turns + "{% if add_generation_prompt %}{{ 'a: ' }}{% endif %}")
    for style, name, prompt in (
        ("own.j2", "own.j2", "Q: Name the colour of sky.\nA:"),
        ("chat_template:chat.jinja", "chat.jinja", "u: Name the colour of sky.\na: "),
    ):
        trainer = _finetune(folder, style=style, epochs=1, samples=1)
        assert trainer.inputs()[:2] == [folder / "instructions.json", folder / name]
        train(trainer, folder / f"tuned {name}")
        (sample,) = map(json.loads, (folder / f"tuned {name}" / "samples.jsonl").read_text().splitlines())
        assert sample["prompt"] == prompt


def test_an_item_that_is_cut_is_counted_and_said_at_every_step(folder):
    train(_pretrain(folder, model={**SIZES, "context": 96}, validation=0), folder / "long")
    _talks(folder, 1, 1, 6, 1, 8)
    cut = {"data": "talks.jsonl", "style": "plain", "epochs": 1}
    said = r"talks\.jsonl:3: \d+ tokens are more than the context of 96 \(1 more are too long\); 'truncate: true' cuts"
    with pytest.raises(judgekit.DataError, match=said):
        train(_finetune(folder, "long", **cut), folder / "refused")
    trainer = _finetune(folder, "long", **cut, truncate=True)
    notes = []
    train(trainer, folder / "sft", notes=notes)
    said = "2 of 5 items cut: longer than the context of 96"
    assert trainer.notes == (said,)
    assert notes
    assert all(note.endswith(f"; {said}") for note in notes)
    assert _json(folder / "sft" / "summary.json") == {"learnt": 4, "held out": 1, "cut short": 2}


def test_a_file_that_is_all_for_training_is_learnt_whole(folder):
    items = [{"instruction": f"Name the colour of {thing}.", "output": colour} for thing, colour in COLOURS.items()]
    (folder / "all.json").write_text(json.dumps(items))
    train(_finetune(folder, data="all.json", split=None, validation=None, epochs=1), folder / "sft")
    assert _json(folder / "sft" / "summary.json") == {"learnt": len(COLOURS), "held out": 0, "cut short": 0}
    for split in (None, "validation"):
        with pytest.raises(
            ValidationError, match="learns what 'validation: validation' holds out; give 'validation: null'"
        ):
            _finetune(folder, split=split)


def test_inputs_are_the_files_that_decide(folder):
    assert _finetune(folder, "nowhere").inputs() == [folder / "instructions.json"]
    names = [path.name for path in _finetune(folder).inputs()]
    assert names == ["instructions.json", "config.json", "model.safetensors", "merges.txt"]
    files = ["text.txt", "instructions.json"]
    assert _pretrain(folder, data=files).inputs() == [folder / name for name in files]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 1, "steps": 1}, "give 'epochs' or 'steps', not both"),
        ({"model": "gpt3"}, "no model is named 'gpt3'; there are gpt2, gpt2-medium"),
        ({"model": {"width": 30, "heads": 4}}, "width 30 is not divisible by 4 heads"),
        ({"model": {"depth": 4}}, "depth"),
        ({"model": {"layers": 0}}, "layers"),
        ({"tokenizer": "llama"}, "no vocabulary is named 'llama'; there is gpt2, or learn one"),
        ({"tokenizer": {"bpe": 200}}, "bpe"),
        ({"tokenizer": {"instructions": "a.json"}}, "give its size as 'bpe'"),
        ({"data": 3}, "data"),
        ({"learning_rate": 1}, "learning_rate"),
        ({"lr": float("nan")}, "lr"),
        *(({"from": "a", "lora": {"rank": rank}}, "rank") for rank in (0, -1)),
        *(({"from": "a", "lora": {"alpha": alpha}}, "alpha") for alpha in (0.0, -1.0, math.nan, math.inf)),
        *(({"from": "a", "lora": {"targets": targets}}, "targets") for targets in ((), ("qkv", "c_attn"))),
        *(({"from": "a", "lora": {"dropout": dropout}}, "dropout") for dropout in (1.0, -0.1)),
        *(({"from": "a", "beta": beta}, "beta") for beta in (0.0, math.inf, math.nan)),
        *(({"from": "a", "smoothing": smoothing}, "smoothing") for smoothing in (0.5, -0.1)),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        (DPOOptions if "from" in options else PretrainOptions).model_validate({"data": "text.txt", **options})


def test_presets_and_defaults():
    options = PretrainOptions.model_validate({"data": "text.txt"})
    assert options.model.config(50257) == GPT2Config()
    medium = PretrainOptions.model_validate({"data": "text.txt", "model": "gpt2-medium"}).model
    assert (medium.layers, medium.width, medium.heads) == (24, 1024, 16)
    assert options.data == ("text.txt",)
    assert options.tokenizer == PretrainOptions.model_validate({"data": "a", "tokenizer": "gpt2"}).tokenizer
    assert FinetuneOptions.model_validate({"from": "a", "data": "b"}).mask_prompt
    with pytest.raises(ValidationError, match="start"):
        FinetuneOptions.model_validate({"start": "a", "data": "b"})


@pytest.mark.parametrize(
    ("content", "message"),
    [("short", "the text has 6 tokens, which do not fill one context of 48"), ("", "is empty"), (None, "no such file")],
)
def test_too_little_text_is_an_error(folder, content, message):
    (folder / "text.txt").unlink()
    if content is not None:
        (folder / "text.txt").write_text(content)
    with pytest.raises(judgekit.DataError, match=message):
        train(_pretrain(folder, tokenizer={"bpe": 257}), folder / "other")


def test_too_little_text_for_validation_is_an_error(folder):
    with pytest.raises(judgekit.DataError, match=r"the validation share has 1\d tokens, .* another share of 'valid"):
        train(_pretrain(folder, validation=0.01), folder / "other")


def test_a_split_that_is_not_there_is_an_error(folder):
    with pytest.raises(judgekit.DataError, match="no item in the split 'test'"):
        train(_finetune(folder, split="test"), folder / "sft")
    train(_finetune(folder, validation=None), folder / "other")
    assert _splits(folder / "other") == {"train"}


def test_the_books_recipe_is_a_preset():
    """Chapter 7: AdamW 5e-5 with decay 0.1 on everything, batches of 8, two epochs, evaluation every 5 steps."""
    options = FinetuneOptions.model_validate({"from": "a", "data": "b", "preset": "book"})
    assert {key: getattr(options, key) for key in BOOK} == BOOK
    assert (options.lr, options.weight_decay, options.batch, options.epochs) == (5e-5, 0.1, 8, 2)
    assert (options.evaluate_every, options.order, options.drop_last) == (5, "shuffled", True)
    other = FinetuneOptions.model_validate({"from": "a", "data": "b", "preset": "book", "steps": 3, "lr": 1e-4})
    assert (other.steps, other.epochs, other.lr, other.seed) == (3, None, 1e-4, 123)


def test_the_book_answers_a_held_out_item_at_each_epochs_end(folder):
    steps = train(_finetune(folder, preset="book"), folder / "sft")
    assert steps == [1, 2, 3, 4], "two epochs of two whole batches: the rest is dropped"
    samples = [json.loads(line) for line in (folder / "sft" / "samples.jsonl").read_text().splitlines()]
    assert [sample["step"] for sample in samples] == [2, 4]
    assert {sample["prompt"].strip() for sample in samples} == {"Name the colour of sky."}
    assert {sample["reference"] for sample in samples} == {"blue"}


def test_adapters_alone_are_trained_and_then_merged(folder):
    train(_finetune(folder, lora={"rank": 2, "targets": ["qkv"]}, lr=0.01), folder / "sft")
    base, tuned = (weights.load(folder / name)[0].state_dict() for name in ("base", "sft"))
    changed = {name for name in base if not base[name].equal(tuned[name])}
    assert changed == {"blocks.0.attention.qkv.weight"}


def test_preferences_raise_the_chosen_response(folder):
    items = [
        {"id": t, "instruction": f"Name the colour of {t}.", "chosen": c, "rejected": "no idea", "split": "train"}
        for t, c in COLOURS.items()
    ]
    items += [{**item, "id": f"{item['id']}!", "split": "validation"} for item in items[:2]]
    (folder / "pairs.json").write_text(json.dumps(items))
    settings = {"from": "base", "data": "pairs.json", "style": "plain", "epochs": 10, "batch": 3, "lr": 0.003}
    train(DPO(DPOOptions.model_validate({**settings, "precision": "float32"}), folder), folder / "dpo")
    first, *_, last = curve(folder / "dpo", "validation")
    assert first["loss"] == pytest.approx(0.6931, abs=1e-4), "nothing has been learnt yet: log 2"
    assert last["loss"] < 0.5
    assert last["measures"]["accuracy"] == 1.0
    assert last["measures"]["margin"] > first["measures"]["margin"] == pytest.approx(0, abs=1e-5)
    assert weights.load(folder / "dpo")[0].config == replace(weights.load(folder / "base")[0].config, dropout=0.0)


def test_a_batch_that_never_fills_is_an_error(folder):
    with pytest.raises(judgekit.DataError, match="not one full batch"):
        train(_finetune(folder, order="shuffled", drop_last=True, batch=64), folder / "sft")


def test_adapters_take_ten_times_the_rate(folder):
    assert _finetune(folder)._rate() == pytest.approx(5e-5)
    assert _finetune(folder, lora={})._rate() == pytest.approx(5e-4)
    assert _finetune(folder, lora={}, lr=3e-3)._rate() == 3e-3
    assert DPO(DPOOptions.model_validate({"from": "a", "data": "b"}), folder)._rate() == pytest.approx(5e-6)


def test_documents_too_few_to_hold_one_out_are_an_error_only_if_that_was_asked_for(folder):
    (folder / "text.txt").write_text("The colour of the sky is blue. " * 40)
    train(_pretrain(folder, tokenizer={"bpe": 270}), folder / "a")
    assert _splits(folder / "a") == {"train"}
    with pytest.raises(judgekit.DataError, match=r"text.txt: none is left for 'validation: 0.3' of 1 document;"):
        train(_pretrain(folder, tokenizer={"bpe": 270}, validation=0.3), folder / "b")


def test_a_few_batches_of_validation_are_from_all_over_them():
    assert spread(range(6), 5) == [0, 1, 3, 4, 5]
    assert spread(range(101), 3) == [16, 50, 84]
    assert list(spread(range(4), 9)) == [0, 1, 2, 3]


def test_no_gpu_is_an_error(folder):
    with pytest.raises(judgekit.UsageError, match="'device: cuda', but torch sees no GPU here"):
        train(_pretrain(folder, device="cuda"), folder / "a")


def test_no_two_seeds_share_the_order_of_a_pass():
    def order(seed, number):
        return tuple(torch.randperm(50, generator=order_of(seed, number)).tolist())

    assert order(123, 0) == tuple(torch.randperm(50, generator=torch.Generator().manual_seed(123)).tolist())
    assert len({order(seed, number) for seed in range(4) for number in range(4)}) == 16
