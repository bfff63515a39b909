"""Causal models and those with an encoder and a decoder, against transformers itself: one request, no batch."""

import pytest

from asking_transformers import asked, backend_of, folders_of
from judgekit.testing import tiny_models

KINDS = ("gpt2", "spaced", "t5", "bart")
SEQ2SEQ = ("t5", "bart")
PROMPT = "the cat in the hat, at 7"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return folders_of(tmp_path_factory, *KINDS)


@pytest.fixture(scope="module")
def backends(folders):
    made = {kind: backend_of(folder) for kind, folder in folders.items()}
    yield made
    for backend in made.values():
        backend.close()


def theirs(folder, kind):
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    auto = AutoModelForSeq2SeqLM if kind in SEQ2SEQ else AutoModelForCausalLM
    return auto.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def naive(folder, kind, prompt, continuation):
    """log P of each token of the continuation, by transformers' plain forward pass."""
    import torch

    model, tokenizer = theirs(folder, kind)
    before = tokenizer(prompt).input_ids
    after = tokenizer(continuation, add_special_tokens=False).input_ids
    if kind == "spaced":  # what the text has after the prompt, and not at the beginning of a text
        whole, letter = (tokenizer(text, add_special_tokens=False).input_ids for text in (f"x{continuation}", "x"))
        after = whole[len(letter) :]
    with torch.no_grad():
        if kind == "t5":
            logits = model(input_ids=torch.tensor([before]), labels=torch.tensor([after])).logits[0]
        elif kind == "bart":  # answers begin with </s> <s>, as the config says
            answer = torch.tensor([[1, 2, *after[:-1]]])
            logits = model(input_ids=torch.tensor([before]), decoder_input_ids=answer).logits[0, 1:]
        else:
            logits = model(torch.tensor([before + after])).logits[0, len(before) - 1 : -1]
    logprobs = torch.log_softmax(logits.double(), dim=-1)
    return [float(row[token]) for row, token in zip(logprobs, after, strict=True)]


@pytest.mark.parametrize("kind", KINDS)
def test_continuations_are_as_likely_as_transformers_says(backends, folders, kind):
    given = (" A", " B", "the end of it", "7")
    (together,) = backends[kind].loglikelihood([asked(PROMPT, *given)])
    assert together.status == "complete"
    for continuation, text in zip(together.continuations, given, strict=True):
        expected = naive(folders[kind], kind, PROMPT, text)
        assert continuation.token_logprobs == pytest.approx(expected, abs=1e-4)
        (alone,) = backends[kind].loglikelihood([asked(PROMPT, text)])
        assert alone.continuations[0].token_logprobs == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_continuation_is_certain(backends, kind):
    (reply,) = backends[kind].loglikelihood([asked(PROMPT, "", "the", "")])
    assert [continuation.tokens for continuation in reply.continuations][::2] == [0, 0]
    (reply,) = backends[kind].loglikelihood([asked(PROMPT, "")])
    assert reply.continuations[0].loglikelihood == 0


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_answers_are_transformers_own(backends, folders, kind):
    import torch

    model, tokenizer = theirs(folders[kind], kind)
    ids = torch.tensor([tokenizer(PROMPT).input_ids])
    options = {"num_beams": 1, "no_repeat_ngram_size": 0, "do_sample": False, "max_new_tokens": 20}
    out = model.generate(ids, attention_mask=torch.ones_like(ids), pad_token_id=0, **options)[0]
    out = out[1:] if kind in SEQ2SEQ else out[ids.shape[1] :]
    (reply,) = backends[kind].generate([asked(PROMPT, max_new_tokens=20, temperature=0)])
    assert reply.text == tokenizer.decode(out, skip_special_tokens=True)
    assert reply.text
    assert reply.usage.prompt_tokens == ids.shape[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", [{}, {"top_k": 7}, {"top_p": 0.8}, {"top_k": 20, "top_p": 0.5}])
def test_samples_are_the_draws_of_transformers(backends, folders, kind, how):
    import torch

    model, tokenizer = theirs(folders[kind], kind)
    ids = torch.tensor([tokenizer(PROMPT).input_ids])
    options = {"num_beams": 1, "no_repeat_ngram_size": 0, "do_sample": True, "temperature": 1.5, "max_new_tokens": 15}
    everything = {"top_k": 0, "top_p": 1.0} | how
    with torch.random.fork_rng():
        torch.manual_seed(11)
        out = model.generate(ids, attention_mask=torch.ones_like(ids), pad_token_id=0, **options, **everything)[0]
    out = out[1:] if kind in SEQ2SEQ else out[ids.shape[1] :]
    (reply,) = backends[kind].generate([asked(PROMPT, max_new_tokens=15, temperature=1.5, seed=11, **how)])
    assert reply.text == tokenizer.decode(out, skip_special_tokens=True)


@pytest.mark.parametrize("kind", KINDS)
def test_alternatives_at_each_token_are_what_loglikelihood_says(backends, kind):
    (reply,) = backends[kind].generate([asked(PROMPT, top=3, max_new_tokens=8, temperature=0)])
    assert len(reply.tokens) in (reply.usage.completion_tokens, reply.usage.completion_tokens - 1)
    for token in reply.tokens:
        assert len(token.top) == 3
        assert [value for _, value in token.top] == sorted((value for _, value in token.top), reverse=True)
        assert token.logprob == token.top[0][1], "a greedy token is the likeliest"
    (plain,) = backends[kind].generate([asked(PROMPT, max_new_tokens=8, temperature=0)])
    assert plain.tokens == ()
    assert plain.text == reply.text
    if kind in SEQ2SEQ:  # the others write halves of characters
        assert "".join(token.text for token in reply.tokens) == reply.text
    if kind == "t5":  # whose text has the same tokens when it is read
        (scored,) = backends[kind].loglikelihood([asked(PROMPT, reply.text)])
        values = [token.logprob for token in reply.tokens]
        assert scored.continuations[0].token_logprobs == pytest.approx(values, abs=1e-4)


def test_tokens_end_where_the_stop_text_begins(backends):
    (whole,) = backends["t5"].generate([asked(PROMPT, top=1, max_new_tokens=8, temperature=0)])
    stop = whole.text[1:3]
    (cut,) = backends["t5"].generate([asked(PROMPT, top=1, max_new_tokens=8, temperature=0, stop=(stop,))])
    assert cut.status == "complete"
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert "".join(token.text for token in cut.tokens).startswith(cut.text)
    assert len("".join(token.text for token in cut.tokens[:-1])) < len(cut.text)


def test_an_end_token_completes_and_the_last_allowed_one_truncates(backends):
    requests = [asked(PROMPT, max_new_tokens=30, temperature=6.0, seed=seed) for seed in range(16)]
    replies = backends["t5"].generate(requests)
    assert {reply.status for reply in replies} == {"complete", "truncated"}
    for reply in replies:
        assert reply.status == "complete" or reply.usage.completion_tokens == 30
        assert "</s>" not in reply.text


def test_an_encoder_reads_up_to_what_its_tokenizer_says_unless_told_otherwise(backends, folders):
    long = "a " * 600
    (reply,) = backends["t5"].generate([asked(long)])
    assert (reply.status, reply.detail) == ("truncated", "the prompt has 601 tokens, and the model reads 512")
    (reply,) = backends["t5"].loglikelihood([asked(long, " A")])
    assert (reply.status, reply.detail) == (
        "truncated",
        "prompt or continuation has 601 tokens, and the model reads 512",
    )
    more = backend_of(folders["t5"], max_length=1024)
    (reply,) = more.loglikelihood([asked(long, " A")])
    assert reply.continuations[0].token_logprobs == pytest.approx(naive(folders["t5"], "t5", long, " A"), abs=1e-4)
    assert more.identity() != backends["t5"].identity()


def test_max_length_may_be_less_than_the_window_and_not_more(folders):
    less = backend_of(folders["gpt2"], max_length=16)
    (reply,) = less.generate([asked("x" * 10, max_new_tokens=10)])
    assert reply.usage.completion_tokens == 6
    assert reply.detail == "the model's window of 16 tokens was full"
    for kind in ("gpt2", "bart"):
        (problem,) = backend_of(folders[kind], max_length=129).check()
        assert problem.message.endswith("max_length 129, and the model reads 128")


def test_the_longest_continuation_that_fits_is_read_and_one_token_more_is_not(backends, folders):
    for kind in ("gpt2", "bart"):
        _, tokenizer = theirs(folders[kind], kind)
        text = "7" * 200
        while backends[kind].loglikelihood([asked("x", text)])[0].status == "truncated":
            text = text[1:]
        assert len(text) > 100
        (reply,) = backends[kind].loglikelihood([asked("x", text)])
        assert reply.continuations[0].token_logprobs == pytest.approx(naive(folders[kind], kind, "x", text), abs=1e-4)
        assert len(tokenizer(text, add_special_tokens=False).input_ids) in (126, 127)


def test_the_folders_own_generation_defaults_reach_no_reply(backends, folders, tmp_path):
    import json

    folder = tiny_models.gpt2(tmp_path)
    path = folder / "generation_config.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"repetition_penalty": 9.0, "top_k": 1, "do_sample": True})
    )
    penal = backend_of(folder)
    requests = [asked(PROMPT, max_new_tokens=30, temperature=t, seed=1) for t in (0, 1.5)]
    assert penal.generate(requests) == backends["gpt2"].generate(requests)


def test_letters_after_long_prompts_with_a_common_beginning(tmp_path):
    """Five-shot prompts: what they share is read once, and no result depends on what was read before."""
    folder = tiny_models.gpt2(tmp_path, n_positions=1024)
    backend = backend_of(folder)
    shots = "".join(f"question {n}: {'the thing ' * 8}\nAnswer: B\n" for n in range(5))
    prompts = [f"{shots}{'word ' * n} Answer:" for n in (1, 9, 3, 40)] + ["short", "another " * 60]
    requests = [asked(prompt, " A", " B", " C the") for prompt in prompts]
    read = []
    model = backend._ready().model
    model.register_forward_pre_hook(lambda _, args, kwargs: read.append(args[0].shape[1]), with_kwargs=True)
    together = backend.loglikelihood(requests)
    shared = sum(read)
    alone = []
    for request in requests:
        backend._ready().prefix = None
        alone += backend.loglikelihood([request])
    assert shared < 0.6 * (sum(read) - shared)
    assert together == alone == backend.loglikelihood(requests[::-1])[::-1]
    for prompt, reply in zip(prompts, together, strict=True):
        for text, continuation in zip((" A", " B", " C the"), reply.continuations, strict=True):
            assert continuation.token_logprobs == pytest.approx(naive(folder, "gpt2", prompt, text), abs=1e-4)
