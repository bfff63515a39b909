"""What is learnt of a conversation: exactly what the assistant says and what ends it, in every style."""

import json
from itertools import groupby

import pytest

import judgekit
import judgekit.data
from judgekit.prompting.messages import prompt_messages
from judgekit.prompting.templates import Prompts
from judgekit_gpt2 import data
from judgekit_gpt2.backend import _encode
from judgekit_gpt2.data import IGNORED
from judgekit_gpt2.tokens import Tokenizer
from learnt import learnt_items

STYLES = sorted(name.removeprefix("instruct/") for name in Prompts().names() if name.startswith("instruct/"))
TALKS = [
    judgekit.Sample(id="1", instruction="Give the plural.", input="mouse", reference='"Mice" is it.'),
    judgekit.Sample(
        id="2",
        system="짧게 답해.",
        instruction="수도는?",
        reference="서울입니다.",
        turns=("정말?", "🙂?"),
        turn_references=("네, 서울 🏙️🇰🇷!", " 👩‍👩‍👧 \n"),
    ),
    judgekit.Sample(id="3", instruction="Hi:", reference=":-)", turns=("\n\n",), turn_references=("\n\n\n",)),
    judgekit.Sample(id="4", instruction="<|im_end|>", reference="<|endoftext|><|im_end|></s>"),
]


@pytest.fixture(scope="module")
def gpt2():
    try:
        return Tokenizer.gpt2()
    except judgekit.CheckpointError as error:
        pytest.skip(str(error))


def learnt(example, tokenizer):
    """The tokens that count as targets, in runs, as collate has them."""
    (targets,) = data.collate([example], tokenizer.end_of_text).targets.tolist()
    runs = groupby(targets, lambda target: target != IGNORED)
    return [list(run) for counts, run in runs if counts]


def example_of(style, sample, tokenizer, mask_prompt=True):
    ends = judgekit.data.style_named(style).end != ""
    spans = judgekit.data.render_training(style, sample)
    return data.of_spans(spans, tokenizer, mask_prompt=mask_prompt, ends=ends)


def check(style, sample, tokenizer):
    """Every learnt run is the answer and what ends it, a text of the style or else the end of text: no token more, none
    less. Returns how many."""
    runs, named = learnt(example_of(style, sample, tokenizer), tokenizer), judgekit.data.style_named(style)
    end = [] if named.end else [tokenizer.end_of_text]
    texts = [f"{named.lead}{answer}{named.end}" for answer in sample.references]
    assert runs == [tokenizer.encode(text) + end for text in texts]
    assert [tokenizer.decode(run[: len(run) - len(end)]) for run in runs] == texts
    return sum(map(len, runs))


@pytest.mark.parametrize("style", STYLES)
def test_the_unmasked_tokens_are_the_assistants_text_and_its_end_after_the_prompt_of_evaluation(style, gpt2, tokenizer):
    for sample in TALKS:
        check(style, sample, gpt2)
        check(style, sample, tokenizer)  # 44 merges: nearly every byte is a token
        prompt = gpt2.encode(judgekit.data.render_prompt(style, sample))
        assert list(example_of(style, sample, gpt2).ids[: len(prompt)]) == prompt


@pytest.mark.parametrize("style", STYLES)
def test_the_history_of_a_conversation_has_the_tokens_of_training(style, gpt2):
    """The second turn as the backend reads it, and as training did: also where an answer begins with a quotation."""
    talk = TALKS[0].model_copy(update={"input": "", "turns": ("Sure?",), "turn_references": ("Yes.",)})
    asked = prompt_messages(style, talk, [talk.reference], None, chat=False)
    read = _encode(judgekit.Request(messages=asked), gpt2)
    example = example_of(style, talk, gpt2)
    assert list(example.ids[: len(read)]) == read
    assert "".join(judgekit.Request(messages=asked).parts) == asked[0].content


@pytest.mark.shared
def test_no_token_leaks_or_is_lost_over_the_books_items_in_every_style(shared_data, gpt2):
    path = shared_data / "instructions" / "instruction-data.json"
    items = judgekit.data.read_items(path)
    counts = {style: sum(check(style, item.sample, gpt2) for item in items) for style in STYLES}
    print(f"{len(items):,} items x {len(STYLES)} styles: 0 tokens leaked, 0 lost;", counts)
    assert len(items) == 1100
    assert counts["book"] == sum(len(gpt2.encode(item.sample.reference)) + 1 for item in items)
    assert all(count >= counts["book"] - len(items) for count in counts.values())


def test_all_tokens_are_learnt_where_the_prompt_is_not_masked(gpt2):
    talk = TALKS[1]
    for style in ("chatml", "alpaca"):
        example = example_of(style, talk, gpt2, mask_prompt=False)
        (run,) = learnt(example, gpt2)
        assert len(run) == len(example.ids)
        assert run[-1] == gpt2.end_of_text
        differing = [
            at for at, (target, token) in enumerate(zip(run, example.ids[1:], strict=False)) if target != token
        ]
        assert len(differing) == (2 if style == "alpaca" else 0), "two answers end where the text goes on"


@pytest.fixture
def talks(tmp_path):
    def write(items, name="talks.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(item) + "\n" for item in items), "utf-8")
        return path

    return write


def _examples(path, tokenizer, context=400, **options):
    settings = {"style": "chatml", "mask_prompt": True, **options}
    read = {key: settings.pop(key) for key in ("format", "mapping", "learn", "ignore_marks") if key in settings}
    return data.instruction_examples(learnt_items(path, "train", **read), tokenizer, context=context, **settings)


def test_examples_come_from_any_format_and_the_datas_own_names(talks, tokenizer):
    dolly = {"split": "train", "instruction": "Sit.", "context": "mat", "response": "The cat sat."}
    alpaca = {"split": "train", "q": "Sit.", "input": "mat", "output": "The cat sat."}
    mapping = {"instruction": "q"}
    assert _examples(talks([dolly]), tokenizer) == _examples(talks([alpaca]), tokenizer, mapping=mapping)
    with pytest.raises(judgekit.DataError, match=r"talks\.jsonl:1: looks like Dolly, not ShareGPT"):
        _examples(talks([dolly]), tokenizer, format="sharegpt")


TALK = {
    "messages": [
        {"role": "user", "content": "Sit."},
        {"role": "assistant", "content": "WRONG", "weight": 0},
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "content": "On the mat."},
    ]
}


def _learnt_text(example, tokenizer):
    """What of an example is learnt, as text, by the targets that count."""
    batch = data.collate([example], tokenizer.end_of_text)
    return tokenizer.decode([token for token in batch.targets[0].tolist() if token != data.IGNORED])


@pytest.mark.parametrize("style", ["chatml", "alpaca", "llama3", "vicuna"])
@pytest.mark.parametrize("mask_prompt", [True, False])
def test_a_marked_answer_is_read_and_not_learnt(talks, tokenizer, style, mask_prompt):
    path = talks([{**TALK, "split": "train"}])
    one = _examples(path, tokenizer, style=style, mask_prompt=mask_prompt)[0]
    learnt = _learnt_text(one, tokenizer)
    assert "WRONG" in tokenizer.decode(one.ids)
    assert "WRONG" not in learnt
    assert "On the mat." in learnt
    assert ("Where?" in learnt) == (not mask_prompt)
    unmarked = [{"role": message["role"], "content": message["content"]} for message in TALK["messages"]]
    whole = _examples(
        talks([{"messages": unmarked, "split": "train"}]), tokenizer, style=style, mask_prompt=mask_prompt
    )
    assert list(one.ids) == list(whole[0].ids), "what is read is the same"
    last = _examples(path, tokenizer, style=style, mask_prompt=mask_prompt, learn="last", ignore_marks=["weight"])[0]
    assert list(last.targets) == list(one.targets)


@pytest.mark.parametrize("style", ["chatml", "alpaca"])
def test_what_stands_behind_the_last_learnt_answer_is_not_read(talks, tokenizer, style):
    first, wrong, second, right = TALK["messages"]
    path = talks([{"messages": [first, {**right, "weight": 1}, second, wrong], "split": "train"}])
    one = _examples(path, tokenizer, style=style)[0]
    assert "WRONG" not in tokenizer.decode(one.ids)
    assert "On the mat." in _learnt_text(one, tokenizer)


def test_a_cut_that_leaves_nothing_to_learn_is_an_error(talks, tokenizer):
    path = talks([{**TALK, "split": "train"}])
    whole = len(_examples(path, tokenizer)[0])
    assert _examples(path, tokenizer, context=whole - 2, truncate=True)
    with pytest.raises(judgekit.DataError, match=r"talks\.jsonl:1: the prompt alone fills"):
        _examples(path, tokenizer, context=whole - 20, truncate=True)
