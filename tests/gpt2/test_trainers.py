"""The trainers, from options as they stand in a config to a checkpoint folder."""

import copy
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

import judgekit
from judgekit_gpt2 import checkpoint, weights
from judgekit_gpt2.config import GPT2Config
from judgekit_gpt2.inference import prepare
from judgekit_gpt2.options import BOOK
from judgekit_gpt2.tokens import Tokenizer
from judgekit_gpt2.trainers import DPO, DPOOptions, Finetune, FinetuneOptions, Pretrain, PretrainOptions

SMALL = {"layers": 1, "heads": 2, "width": 16, "context": 48, "dropout": 0.1}
COLOURS = {"grass": "green", "snow": "white", "coal": "black", "blood": "red", "sky": "blue", "sun": "yellow"}


@pytest.fixture
def folder(tmp_path):
    documents = [f"The colour of {thing} is {colour}. A thing is {colour}." for thing, colour in COLOURS.items()] * 15
    (tmp_path / "text.txt").write_text("\n<|endoftext|>\n".join(documents))
    items = [
        {"instruction": f"Name the colour of {thing}.", "output": colour, "split": split}
        for thing, colour in COLOURS.items()
        for split in ("train", "validation" if thing == "sky" else "train")
    ]
    for number, item in enumerate(items):
        item["id"] = str(number)
    (tmp_path / "instructions.json").write_text(json.dumps(items))
    return tmp_path


def _pretrain(folder, **options):
    settings = {"data": "text.txt", "model": SMALL, "tokenizer": {"bpe": 300}, "steps": 4, "batch": 4, "lr": 0.003}
    return Pretrain(PretrainOptions.model_validate({**settings, **options}), folder)


def _finetune(folder, start, **options):
    settings = {"from": str(start), "data": "instructions.json", "style": "plain", "epochs": 2, "batch": 4}
    return Finetune(FinetuneOptions.model_validate({**settings, **options}), folder)


def _train(trainer, into):
    into.mkdir(parents=True)
    seen = []
    trainer.train(into, lambda done, total, note: seen.append((done, total)))
    lines = (into / "training.jsonl").read_text().splitlines()
    return seen, [judgekit.CurvePoint.model_validate_json(line) for line in lines]


def test_pretraining_and_fine_tuning_make_self_contained_checkpoints(folder):
    seen, curve = _train(_pretrain(folder), folder / "base")
    assert seen == [(step, 4) for step in range(1, 5)]
    assert [(point.step, point.split) for point in curve][:3] == [(0, "validation"), (1, "train"), (1, "validation")]
    model, tokenizer = weights.load(folder / "base")
    assert model.config == GPT2Config(vocabulary=300, layers=1, heads=2, width=16, context=48, dropout=0.1)
    seen, curve = _train(_finetune(folder, "base"), folder / "sft")
    assert seen[-1] == (6, 6), "11 items in batches of 4, twice"
    assert {point.split for point in curve} == {"train", "validation"}
    tuned, vocabulary = weights.load(folder / "sft")
    assert vocabulary.merges == tokenizer.merges
    assert not tuned.tokens.weight.equal(model.tokens.weight)


def test_an_output_layer_of_its_own_is_trained_and_kept_apart(folder):
    """As the book builds its model; fine-tuning, adapters and inference go on from it."""
    _train(_pretrain(folder, model={**SMALL, "tied": False}), folder / "base")
    base, tokenizer = weights.load(folder / "base")
    assert not base.config.tied
    assert not torch.equal(base.output_weight, base.tokens.weight)
    _train(_finetune(folder, folder / "base", steps=2, epochs=None), folder / "sft")
    sft, _ = weights.load(folder / "sft")
    assert not torch.equal(sft.output_weight, base.output_weight)
    _train(_finetune(folder, folder / "base", lora={"rank": 2}, steps=2, epochs=None), folder / "lora")
    lora, _ = weights.load(folder / "lora")
    assert torch.equal(lora.output_weight, base.output_weight)
    ids = torch.tensor([tokenizer.encode("The colour of snow")])
    with torch.inference_mode():
        whole = sft.logits(sft(ids))
        for form in ({}, {"quantise": "int8"}):
            ready = prepare(copy.deepcopy(sft), **form)
            assert torch.allclose(ready.logits(ready(ids)).softmax(-1), whole.softmax(-1), atol=1e-2)


def test_the_same_options_give_the_same_bytes(folder):
    _train(_pretrain(folder), folder / "a")
    _train(_pretrain(folder), folder / "b")
    _train(_pretrain(folder, seed=1), folder / "c")
    assert checkpoint.identity(folder / "a") == checkpoint.identity(folder / "b")
    assert (folder / "a" / "training.jsonl").read_bytes() == (folder / "b" / "training.jsonl").read_bytes()
    assert checkpoint.identity(folder / "a") != checkpoint.identity(folder / "c")
    _train(_finetune(folder, "a"), folder / "d")
    _train(_finetune(folder, "b"), folder / "e")
    assert checkpoint.identity(folder / "d") == checkpoint.identity(folder / "e")


def test_another_process_gives_the_same_bytes(folder):
    """Hash seeds and import orders decide nothing."""
    _train(_pretrain(folder), folder / "a")
    code = (
        "import torch; torch.set_num_threads(1); from pathlib import Path; "
        "from judgekit_gpt2.trainers import Pretrain, PretrainOptions; "
        "options = PretrainOptions.model_validate_json(Path('options.json').read_text()); "
        "Path('b').mkdir(); Pretrain(options).train(Path('b'), lambda *_: None)"
    )
    (folder / "options.json").write_text(_pretrain(folder).options.model_dump_json())
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder, env=environment)
    assert checkpoint.identity(folder / "a") == checkpoint.identity(folder / "b")


def test_the_vocabulary_is_learnt_from_the_instructions_too(folder):
    """From the train split as it will be rendered, and from no other split."""
    items = json.loads((folder / "instructions.json").read_text())
    items.append({"id": "x", "instruction": "zzqzzq " * 50, "output": "zzqzzq", "split": "test"})
    items.append({"id": "y", "instruction": "wwkwwk " * 50, "output": "wwkwwk", "split": "train"})
    (folder / "instructions.json").write_text(json.dumps(items))
    own = {"bpe": 330, "instructions": "instructions.json", "style": "qa"}
    trainer = _pretrain(folder, tokenizer=own, steps=1)
    assert trainer.inputs() == [folder / "text.txt", folder / "instructions.json"]
    _train(trainer, folder / "base")
    tokenizer = Tokenizer.of_checkpoint(folder / "base", 330)
    assert len(tokenizer.encode(" wwkwwk")) == 1
    assert len(tokenizer.encode(" zzqzzq")) == 7
    assert len(tokenizer.encode("Question:")) < len("Question:") / 2


def _talks(folder, *counts):
    """Conversations of so many turns each, as OpenAI messages."""
    turns = [
        [{"role": "user", "content": f"Colour of {thing}?"}, {"role": "assistant", "content": colour}]
        for thing, colour in COLOURS.items()
    ]
    items = [
        {
            "id": str(number),
            "split": "validation" if number == 0 else "train",
            "messages": [one for turn in turns[:count] for one in turn],
        }
        for number, count in enumerate(counts)
    ]
    (folder / "talks.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))


def test_conversations_are_learnt_the_assistants_turns_alone(folder):
    _train(_pretrain(folder, model={**SMALL, "context": 256}, validation=0), folder / "base")
    _talks(folder, 1, 2, 3, 2)
    trainer = _finetune(folder, "base", data="talks.jsonl", style="chatml", epochs=1, batch=8, samples=1)
    _, curve = _train(trainer, folder / "sft")
    tokenizer = Tokenizer.of_checkpoint(folder / "base", 300)
    learnt = [f"{colour}<|im_end|>" for count in (2, 3, 2) for colour in list(COLOURS.values())[:count]]
    assert curve[-2].measures["tokens"] == sum(len(tokenizer.encode(text)) for text in learnt)
    assert trainer.notes == ()


def test_a_style_of_ones_own_is_an_input(folder):
    """As a file beside the config, and as a tokenizer's chat template: another style is another training."""
    _train(_pretrain(folder), folder / "base")
    (folder / "own.j2").write_text("{#- end: <end> -#}\nQ: {{ instruction }}\nA:")
    (folder / "chat.jinja").write_text("{% for m in messages %}{{ m.role[0] }}: {{ m.content }}\n{% endfor %}"
                                       "{% if add_generation_prompt %}{{ 'a: ' }}{% endif %}")  # fmt: skip
    for style, name in (("own.j2", "own.j2"), ("chat_template:chat.jinja", "chat.jinja")):
        trainer = _finetune(folder, "base", style=style, epochs=1, samples=1)
        assert trainer.inputs()[:2] == [folder / "instructions.json", folder / name]
        _train(trainer, folder / f"tuned {name}")
        (sample,) = map(json.loads, (folder / f"tuned {name}" / "samples.jsonl").read_text().splitlines())
        assert sample["prompt"] == {
            "own.j2": "Q: Name the colour of sky.\nA:", "chat.jinja": "u: Name the colour of sky.\na: ",
        }[name]  # fmt: skip


def test_an_item_that_is_cut_is_counted_and_said_at_every_step(folder):
    _train(_pretrain(folder, model={**SMALL, "context": 96}, validation=0), folder / "base")
    _talks(folder, 1, 1, 6, 1, 8)
    cut = {"data": "talks.jsonl", "style": "plain", "epochs": 1}
    said = r"talks\.jsonl:3: \d+ tokens are more than the context of 96 \(1 more are too long\); 'truncate: true' cuts"
    with pytest.raises(judgekit.DataError, match=said):
        _train(_finetune(folder, "base", **cut), folder / "refused")
    trainer = _finetune(folder, "base", **cut, truncate=True)
    (folder / "sft").mkdir()
    notes = []
    trainer.train(folder / "sft", lambda done, total, note: notes.append(note))
    said = "2 of 5 items cut: longer than the context of 96"
    assert trainer.notes == (said,)
    assert notes
    assert all(note.endswith(f"; {said}") for note in notes)
    assert json.loads((folder / "sft" / "summary.json").read_text()) == {"learnt": 4, "held out": 1, "cut short": 2}


def test_a_file_that_is_all_for_training_is_learnt_whole(folder):
    _train(_pretrain(folder), folder / "base")
    items = [{"instruction": f"Name the colour of {thing}.", "output": colour} for thing, colour in COLOURS.items()]
    (folder / "all.json").write_text(json.dumps(items))
    _train(_finetune(folder, "base", data="all.json", split=None, validation=None, epochs=1), folder / "sft")
    counts = json.loads((folder / "sft" / "summary.json").read_text())
    assert counts == {"learnt": len(COLOURS), "held out": 0, "cut short": 0}
    for split in (None, "validation"):
        with pytest.raises(
            ValidationError, match="learns what 'validation: validation' holds out; give 'validation: null'"
        ):
            _finetune(folder, "base", split=split)


def test_inputs_are_the_files_that_decide(folder):
    assert _finetune(folder, "nowhere").inputs() == [folder / "instructions.json"]
    _train(_pretrain(folder), folder / "base")
    names = [path.name for path in _finetune(folder, "base").inputs()]
    assert names == ["instructions.json", "config.json", "model.safetensors", "merges.txt"]
    assert _pretrain(folder, data=["text.txt", "instructions.json"]).inputs() == [
        folder / "text.txt",
        folder / "instructions.json",
    ]


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
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        PretrainOptions.model_validate({"data": "text.txt", **options})


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


def test_dropout_of_fine_tuning_is_its_own(folder):
    _train(_pretrain(folder), folder / "base")
    _train(_finetune(folder, "base", dropout=0.3), folder / "sft")
    assert checkpoint.read_config(folder / "sft").dropout == 0.3


@pytest.mark.parametrize(
    ("content", "message"),
    [("short", "the text has 6 tokens, which do not fill one context of 48"), ("", "is empty"), (None, "no such file")],
)
def test_too_little_text_is_an_error(folder, content, message):
    (folder / "text.txt").unlink()
    if content is not None:
        (folder / "text.txt").write_text(content)
    with pytest.raises(judgekit.DataError, match=message):
        _train(_pretrain(folder, tokenizer={"bpe": 257}), folder / "base")


def test_too_little_text_for_validation_is_an_error(folder):
    with pytest.raises(
        judgekit.DataError, match=r"the validation share has 1\d tokens, .* another share of 'validation'"
    ):
        _train(_pretrain(folder, validation=0.01), folder / "base")


def test_a_split_that_is_not_there_is_an_error(folder):
    _train(_pretrain(folder), folder / "base")
    with pytest.raises(judgekit.DataError, match="no item in the split 'test'"):
        _train(_finetune(folder, "base", split="test"), folder / "sft")
    _, curve = _train(_finetune(folder, "base", validation=None), folder / "other")
    assert {point.split for point in curve} == {"train"}


def test_the_books_recipe_is_a_preset():
    """Chapter 7: AdamW 5e-5 with decay 0.1 on everything, batches of 8, two epochs, evaluation every 5 steps."""
    options = FinetuneOptions.model_validate({"from": "a", "data": "b", "preset": "book"})
    assert {key: getattr(options, key) for key in BOOK} == BOOK
    assert (options.lr, options.weight_decay, options.batch, options.epochs) == (5e-5, 0.1, 8, 2)
    assert (options.evaluate_every, options.order, options.drop_last) == (5, "shuffled", True)
    other = FinetuneOptions.model_validate({"from": "a", "data": "b", "preset": "book", "steps": 3, "lr": 1e-4})
    assert (other.steps, other.epochs, other.lr, other.seed) == (3, None, 1e-4, 123)


def test_the_book_answers_a_held_out_item_at_each_epochs_end(folder):
    _train(_pretrain(folder), folder / "base")
    seen, _ = _train(_finetune(folder, "base", preset="book", style="plain", batch=4), folder / "sft")
    assert seen[-1] == (4, 4), "two epochs of two whole batches: the rest is dropped"
    samples = [json.loads(line) for line in (folder / "sft" / "samples.jsonl").read_text().splitlines()]
    assert [sample["step"] for sample in samples] == [2, 4]
    assert {sample["prompt"].strip() for sample in samples} == {"Name the colour of sky."}
    assert {sample["reference"] for sample in samples} == {"blue"}


def test_adapters_alone_are_trained_and_then_merged(folder):
    _train(_pretrain(folder), folder / "base")
    _train(_finetune(folder, "base", lora={"rank": 2, "targets": ["qkv"]}, lr=0.01), folder / "sft")
    base, tuned = (weights.load(folder / name)[0].state_dict() for name in ("base", "sft"))
    changed = {name for name in base if not base[name].equal(tuned[name])}
    assert changed == {"blocks.0.attention.qkv.weight"}


def test_preferences_raise_the_chosen_response(folder):
    items = [
        {"id": t, "instruction": f"Name the colour of {t}.", "chosen": c, "rejected": "no idea", "split": split}
        for t, c in COLOURS.items()
        for split in ("train",)
    ]
    items += [{**item, "id": f"{item['id']}!", "split": "validation"} for item in items[:2]]
    (folder / "pairs.json").write_text(json.dumps(items))
    _train(_pretrain(folder), folder / "base")
    settings = {"from": "base", "data": "pairs.json", "style": "plain", "epochs": 10, "batch": 3, "lr": 0.003}
    trainer = DPO(DPOOptions.model_validate({**settings, "precision": "float32"}), folder)
    _, curve = _train(trainer, folder / "dpo")
    held = [point for point in curve if point.split == "validation"]
    assert held[0].loss == pytest.approx(0.6931, abs=1e-4), "nothing has been learnt yet: log 2"
    assert held[-1].loss < 0.5
    assert held[-1].measures["accuracy"] == 1.0
    assert held[-1].measures["margin"] > held[0].measures["margin"] == pytest.approx(0, abs=1e-5)
    assert weights.load(folder / "dpo")[0].config == replace(weights.load(folder / "base")[0].config, dropout=0.0)


def test_a_batch_that_never_fills_is_an_error(folder):
    _train(_pretrain(folder), folder / "base")
    with pytest.raises(judgekit.DataError, match="not one full batch"):
        _train(_finetune(folder, "base", order="shuffled", drop_last=True, batch=64), folder / "sft")


def test_adapters_take_ten_times_the_rate(folder):
    def rate(trainer):
        return trainer._rate()

    assert rate(_finetune(folder, "base")) == pytest.approx(5e-5)
    assert rate(_finetune(folder, "base", lora={})) == pytest.approx(5e-4)
    assert rate(_finetune(folder, "base", lora={}, lr=3e-3)) == 3e-3
    assert rate(DPO(DPOOptions.model_validate({"from": "a", "data": "b"}), folder)) == pytest.approx(5e-6)


def test_documents_too_few_to_hold_one_out_are_an_error_only_if_that_was_asked_for(folder):
    (folder / "text.txt").write_text("The colour of the sky is blue. " * 40)
    _, curve = _train(_pretrain(folder, tokenizer={"bpe": 270}), folder / "a")
    assert {point.split for point in curve} == {"train"}
    with pytest.raises(judgekit.DataError, match=r"text.txt: none is left for 'validation: 0.3' of 1 document;"):
        _train(_pretrain(folder, tokenizer={"bpe": 270}, validation=0.3), folder / "b")


def test_a_few_batches_of_validation_are_from_all_over_them():
    from judgekit_gpt2.epochs import spread

    assert spread(range(6), 5) == [0, 1, 3, 4, 5]
    assert spread(range(101), 3) == [16, 50, 84]
    assert list(spread(range(4), 9)) == [0, 1, 2, 3]


def test_no_gpu_is_an_error(folder):
    with pytest.raises(judgekit.UsageError, match="'device: cuda', but torch sees no GPU here"):
        _train(_pretrain(folder, device="cuda"), folder / "a")


def test_no_two_seeds_share_the_order_of_a_pass():
    from judgekit_gpt2.epochs import order_of

    def order(seed, number):
        return tuple(torch.randperm(50, generator=order_of(seed, number)).tolist())

    assert order(123, 0) == tuple(torch.randperm(50, generator=torch.Generator().manual_seed(123)).tolist())
    assert len({order(seed, number) for seed in range(4) for number in range(4)}) == 16
