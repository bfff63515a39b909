"""What a model reads in training is what it reads when it is asked, token by token; learnt is what it is to write."""

import json

import pytest

import judgekit
import tiny_llama
import tiny_models
from judgekit_transformers.loading import load_apart
from judgekit_transformers.prompts import continuation_ids, prompt_of
from judgekit_transformers.tuning_data import IGNORED, collate, examples, reading_of, tokens

ITEMS = [
    {"id": "plain", "instruction": "Name the colour of grass.", "output": "green"},
    {"id": "input", "instruction": "Say it again.", "input": "the end", "output": "\n\nthe  end \n"},
    {"id": "korean", "instruction": "한국의 수도는?", "output": "서울입니다."},
    {"id": "emoji", "instruction": "Smile!", "output": "👩‍👩‍👧 the 👍🏽 he"},
]
BUILDERS = {
    "llama": tiny_llama.folder,
    "gpt2": tiny_models.gpt2,
    "spaced": tiny_models.spaced,
    "t5": tiny_models.t5,
    "bart": tiny_models.bart,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {kind: load_apart(build(folder / kind), "float32", "cpu") for kind, build in BUILDERS.items()}


@pytest.fixture
def file(tmp_path):
    def write(items):
        path = tmp_path / "items.json"
        path.write_text(json.dumps(items))
        return path

    return write


def read(loaded, path, style="alpaca", chat="auto", mask_prompt=True, limit=1024, truncate=False):
    return examples(path, None, loaded, reading_of(loaded, style, chat, mask_prompt, limit, truncate))


def asked(style, item):
    sample = judgekit.Sample(id=item["id"], instruction=item["instruction"], input=item.get("input", ""))
    message = judgekit.Message(role="user", content=judgekit.render_instruction(style, sample))
    return judgekit.Request(messages=(message,))


@pytest.mark.parametrize(
    ("kind", "chat", "end"),
    [("llama", True, "<|im_end|>"), ("llama", False, "<|im_end|>"), ("gpt2", False, "<|endoftext|>"),
     ("spaced", False, "</s>")],
)  # fmt: skip
@pytest.mark.parametrize("style", ["plain", "alpaca", "alpaca.ko", "book", "qa"])
def test_a_causal_model_learns_the_response_and_its_end_after_the_prompt_of_the_evaluation(
    models, file, kind, chat, end, style
):
    loaded = models[kind]
    for item, example in zip(ITEMS, read(loaded, file(ITEMS), style=style, chat=chat), strict=True):
        prompt = prompt_of(loaded, asked(style, item), chat).ids
        assert example.ids[: len(prompt)] == prompt
        assert example.ids[len(prompt) : -1] == continuation_ids(loaded, item["output"])
        assert example.targets == [IGNORED] * len(prompt) + example.ids[len(prompt) :]
        learnt = [token for token in example.targets if token != IGNORED]
        assert loaded.tokenizer.decode(learnt) == item["output"] + end


def test_an_encoder_reads_the_prompt_and_its_decoder_learns_the_response(models, file):
    items = [{"id": "a", "instruction": "name the thing", "output": "the cat, in 2 at"}]
    for kind, forced in (("t5", []), ("bart", [IGNORED])):
        loaded = models[kind]
        (example,) = read(loaded, file(items), style="plain")
        assert example.ids == prompt_of(loaded, asked("plain", items[0]), False).ids
        said = [*continuation_ids(loaded, items[0]["output"]), loaded.tokenizer.eos_token_id]
        assert example.targets == forced + said
        assert list(example.answer) == [*loaded.beginning, *said[:-1]]
        assert loaded.tokenizer.decode(said, skip_special_tokens=True) == items[0]["output"]
        assert example.learnt == len(said)


def test_a_token_over_the_edge_of_what_is_learnt_is_not_made(models):
    loaded = models["gpt2"]  # whose vocabulary has "th" and "the"
    text = "say: t" + "he t" + "he end; t" + "he" + "re"
    spans = [(6, 10), (19, 21)]
    ids, learnt = tokens(loaded, text, spans, chat=False)
    assert loaded.tokenizer.decode(ids) == text
    written = [token for token, counts in zip(ids, learnt, strict=True) if counts]
    assert loaded.tokenizer.decode(written) == "he the"
    whole = loaded.tokenizer(text).input_ids
    assert whole != ids, "in one go the edges would lie within tokens"


def test_the_prompt_may_be_learnt_too(models, file):
    (example,) = read(models["llama"], file(ITEMS[:1]), mask_prompt=False)
    assert example.targets == [IGNORED, *example.ids[1:]]
    with pytest.raises(judgekit.UsageError, match="never learnt"):
        read(models["t5"], file(ITEMS[:1]), mask_prompt=False)


def test_an_item_longer_than_is_read_is_an_error_with_its_place_or_cut_and_counted(models, file):
    loaded, items = models["llama"], [*ITEMS[:1], *({"instruction": "Say a.", "output": "a" * n} for n in (99, 999))]
    with pytest.raises(judgekit.DataError) as error:
        read(loaded, file(items), chat=False, style="plain", limit=64)
    assert str(error.value).endswith(
        "items.json: item 2: 105 tokens are more than the 64 that are read (1 more are too long); "
        "'truncate: true' cuts them"
    )
    made = read(loaded, file(items), chat=False, style="plain", limit=64, truncate=True)
    assert [(example.cut, len(example.ids) == 64) for example in made] == [(False, False), (True, True), (True, True)]
    with pytest.raises(judgekit.DataError, match="item 1: the prompt alone fills the 8 tokens"):
        read(loaded, file(items), chat=False, limit=8, truncate=True)


def test_no_response_no_template_and_a_template_that_refuses_are_named(models, file):
    with pytest.raises(judgekit.DataError, match="item 2: no 'output' to learn from"):
        read(models["gpt2"], file([ITEMS[0], {"instruction": "Name it.", "output": ""}]))
    with pytest.raises(judgekit.UsageError, match="chat: true, and the model has no chat template"):
        read(models["gpt2"], file(ITEMS), chat=True)


def test_a_batch_is_padded_behind_a_mask(models, file):
    made = read(
        models["t5"], file([{"instruction": "at", "output": "in"}, {"instruction": "the cat", "output": "a b"}])
    )
    batch = collate(list(enumerate(made)))
    for row, example in enumerate(made):
        for name, values, pad in (
            ("input_ids", example.ids, 0),
            ("labels", example.targets, IGNORED),
            ("decoder_input_ids", example.answer, 0),
        ):
            padded = batch[name][row].tolist()
            assert padded[: len(values)] == list(values)
            assert set(padded[len(values) :]) <= {pad}
        assert int(batch["attention_mask"][row].sum()) == len(example.ids)
    assert batch["rows"].tolist() == [0, 1]
