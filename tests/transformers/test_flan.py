"""FLAN-T5-style zero-shot evaluation: a task in plain words with its options, answered in writing or by likelihood."""

import json

from judgekit import Sample
from judgekit.data import render_instruction
from judgekit.testing import tiny_models
from judgekit_transformers.loading import load_apart
from runs import lines, run

QUESTIONS = [
    ("the cat is in the hat. is the cat in the hat?", ["yes", "no", "at 2"], "A"),
    ("2 - 1 is:", ["1", "the end", "3, at the end"], "B"),
    ("a thing that the dog has:", ["a bone", "a 7th hand", "in"], "C"),
]


CONFIG = """\
name: flan
data: {loader: mmlu, path: mmlu, shots: 0}
models: {t5: {backend: transformers, model: t5, kind: seq2seq}}
metrics: {options: {type: multiple_choice, mode: acc, prompt: multiple_choice/flan}}
reports: [json]
statistics: {resamples: 999}
"""


def test_the_style_sets_instruction_input_and_options_apart():
    sample = Sample(id="1", instruction="Is it true?", input="Snow is white.", choices=("yes", "no"), answer=0)
    assert render_instruction("flan", sample) == "Is it true?\n\nSnow is white.\n\nOPTIONS:\n- yes\n- no"
    plain = Sample(id="2", instruction="Translate to French: late")
    assert render_instruction("flan", plain) == plain.instruction


def test_the_likeliest_option_of_a_flan_prompt_is_the_one_that_transformers_finds(tmp_path):
    import torch

    tiny_models.t5(tmp_path / "t5")
    asked = [(question, [*options, "none"], letter) for question, options, letter in QUESTIONS]
    table = "".join(f"{json.dumps([q, *options, letter])[1:-1]}\n".replace(', "', ',"') for q, options, letter in asked)
    (tmp_path / "mmlu" / "test").mkdir(parents=True)
    (tmp_path / "mmlu" / "test" / "things_test.csv").write_text(table)
    made = run(tmp_path, CONFIG)
    loaded = load_apart(tmp_path / "t5", "float32", "cpu")
    for (question, options, letter), row in zip(asked, lines(made / "rows.jsonl"), strict=True):
        prompt = f"{question}\n\nOPTIONS:" + "".join(f"\n- {option}" for option in options)
        ids = loaded.tokenizer(prompt, return_tensors="pt").input_ids
        losses = []
        for option in options:
            labels = loaded.tokenizer(option, add_special_tokens=False, return_tensors="pt").input_ids
            with torch.inference_mode():
                losses.append(float(loaded.model(input_ids=ids, labels=labels).loss) * labels.shape[1])
        picked = min(range(len(options)), key=losses.__getitem__)
        assert row["status"] == "scored"
        assert row["value"] == float("ABCD"[picked] == letter)
