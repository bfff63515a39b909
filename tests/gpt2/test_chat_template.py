"""The style of a tuning, saved as the chat template that `transformers` reads."""

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

import judgekit
import judgekit.data
from judgekit.prompting.templates import Prompts
from judgekit_gpt2 import chat_template, weights
from judgekit_gpt2.tokens import Tokenizer

STYLES = sorted(name.removeprefix("instruct/") for name in Prompts().names() if name.startswith("instruct/"))


@pytest.fixture
def folder(reference_folder, tmp_path):
    model, tokenizer = weights.load(reference_folder)
    weights.save(tmp_path / "model", model, tokenizer)
    return tmp_path / "model"


@pytest.mark.parametrize("system", ["", "Be brief.\nAlways."])
@pytest.mark.parametrize("style", STYLES)
def test_transformers_writes_what_the_style_does(style, system, folder):
    assert chat_template.save(folder, style, Path())
    asked, said = ["Name a tree.", "  {{ x }} another {% y %}?"], ["Oak", "Elm <b>\n"]
    sample = judgekit.Sample(id="1", instruction=asked[0], system=system, turns=(asked[1],))
    messages = [{"role": "system", "content": system}] if system else []
    for number, text in enumerate(asked):
        messages.append({"role": "user", "content": text})
        shown = AutoTokenizer.from_pretrained(folder).apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        assert shown == judgekit.data.render_prompt(style, sample, said[:number])
        messages.append({"role": "assistant", "content": said[number]})


def test_a_style_of_ones_own_and_a_chat_template(folder, tmp_path):
    (tmp_path / "own.j2").write_text('{#- end: <end>\n    between: "\\n" -#}\nUser: {{ instruction }}\nAssistant:\n')
    assert chat_template.save(folder, "own.j2", tmp_path)
    style = f"chat_template:{folder}"
    sample = judgekit.Sample(id="1", instruction="Q", reference="A", turns=("R",))
    assert judgekit.data.render_prompt(style, sample, ["A"]) == "User: Q\nAssistant:A<end>\nUser: R\nAssistant:"
    (tmp_path / "next").mkdir()
    assert chat_template.save(tmp_path / "next", style, tmp_path)
    assert (tmp_path / "next" / chat_template.FILE).read_bytes() == (folder / chat_template.FILE).read_bytes()


def test_what_cannot_be_put_as_a_chat_template_is_not_saved(folder, tmp_path):
    (tmp_path / "own.j2").write_text("{{ instruction | upper }} {{ metadata.a }}:\n")
    assert not chat_template.save(folder, "own.j2", tmp_path)
    assert not (folder / chat_template.FILE).exists()


def test_a_tuned_model_has_it(reference_folder, tmp_path):
    from judgekit_gpt2.trainers import Finetune

    items = [{"instruction": f"Say {number}.", "output": "The cat."} for number in range(8)]
    (tmp_path / "a.json").write_text(json.dumps(items))
    given = {"from": str(reference_folder), "data": str(tmp_path / "a.json"), "style": "qa", "steps": 1}
    options = judgekit.build_options(Finetune.Options, {**given, "split": None, "validation": None}, "x")
    Finetune(options).train(tmp_path / "out", lambda *_: None)
    sample = judgekit.Sample(id="1", instruction="Say it.")
    style = f"chat_template:{tmp_path / 'out'}"
    assert judgekit.data.render_prompt(style, sample) == judgekit.data.render_prompt("qa", sample)
    assert Tokenizer.of_checkpoint(tmp_path / "out", 300).size == 300
