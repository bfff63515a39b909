"""From text files to rows of tokens, by way of a memory-mapped file."""

import hashlib
import json
import tracemalloc
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import judgekit
from full_disk import full_disk
from judgekit_gpt2 import corpus
from judgekit_gpt2 import documents as reading
from judgekit_gpt2.corpus import Corpus
from judgekit_gpt2.tokens import Tokenizer

DOCUMENTS = ["The cat sat on the mat.", "The dog\n\nsat on the log.", "What is the capital of France?", "Paris"]
SEPARATOR = "\n<|endoftext|>\n"


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(SEPARATOR.join(DOCUMENTS))
    return path


def _pairs(size):
    """A vocabulary of pairs of bytes: it joins any two neighbours in a piece."""
    letters = [bytes([byte]) for byte in range(256)]
    return Tokenizer([(left, right) for left in letters for right in letters][: size - 257])


@pytest.fixture
def built(text, tokenizer, tmp_path):
    return Corpus.build([text], tokenizer, tmp_path / "corpus")


def _encoded(documents, tokenizer):
    return [[*tokenizer.encode(document), tokenizer.end_of_text] for document in documents]


def _documents(whole):
    return [whole.document(number) for number in range(len(whole))]


def _seeded(seed):
    return torch.Generator().manual_seed(seed)


def _in_memory(documents, length, generator, stride=None):
    """Rows of all documents end to end, as one would make them without a thought for memory."""
    order = range(len(documents)) if generator is None else torch.randperm(len(documents), generator=generator)
    stream = [token for index in order for token in documents[index]]
    return [stream[at : at + length + 1] for at in range(0, len(stream) - length, stride or length)]


# documents and files


def _read(paths):
    """The documents of text files, each whole."""
    chunks = []
    for text, ends in reading.read_chunks(paths):
        chunks.append(text)
        if ends:
            yield "".join(chunks)
            chunks.clear()


@pytest.mark.parametrize(
    ("content", "documents"),
    [
        ("<|endoftext|>\na\n<|endoftext|>\n<|endoftext|>\nb\n<|endoftext|>", ["a", "b"]),
        ("\n\n  a\n\n b \n\n<|endoftext|>\n\n\n\nc\n", ["  a\n\n b ", "c"]),
        ("a\r\n<|endoftext|>\r\nb\r<|endoftext|>\rc\r\n", ["a", "b", "c"]),
        ("a\n<|endoftext|> b\n <|endoftext|>\n<|endoftext|>c", ["a", " b\n ", "c"]),
        ("one\ntwo\n<|endoftext|>\nthree <|endoftext|> 4\n<|endoftext|>\n", ["one\ntwo", "three ", " 4"]),
        ("One.<|endoftext|>Two.<|endoftext|>Three.", ["One.", "Two.", "Three."]),
        ("é\n<|endoftext|>\n日本\u2028語\u0085\x1c", ["é", "日本\u2028語\u0085\x1c"]),
    ],
)
@pytest.mark.parametrize("block", [1, 2, 5, 1 << 17])
def test_documents_do_not_depend_on_how_a_file_is_read(tmp_path, monkeypatch, content, documents, block):
    monkeypatch.setattr(reading, "_BLOCK", block)
    path = tmp_path / "text.txt"
    path.write_bytes(content.encode())
    assert list(_read([path])) == documents
    assert list(_read([path, path])) == documents * 2, "a file's end is a document's"


_WORDS = st.sampled_from(
    ["a", "it's", "'", "ab12", "!?", "<", "<|endoftext|>", "é", "日本", "\u0301", "🙂", "\x1c", "\x1f", "\u200b"]
)
_GAPS = st.text(" \n\t\r\x0b\x85\xa0\u2003\u3000", max_size=4)


@pytest.fixture(scope="module")
def pairs():
    return _pairs(65_536)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(_WORDS, _GAPS), max_size=30), st.integers(1, 12))
def test_cutting_a_text_leaves_its_documents_and_tokens_as_they_are(pairs, tmp_path_factory, parts, block):
    text = "a" + "".join(word + gap for word, gap in parts)
    path = tmp_path_factory.getbasetemp() / "cut.txt"
    path.write_bytes(text.encode())
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    expected = [document for part in plain.split("<|endoftext|>") if (document := part.strip("\n"))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_BLOCK", block)
        chunks = list(reading.read_chunks([path]))
    documents, ids = [""], [[]]
    for chunk, ends in chunks:
        documents[-1] += chunk
        ids[-1] += pairs.encode(chunk)
        if ends:
            documents.append("")
            ids.append([])
    assert documents == [*expected, ""]
    assert ids == [*(pairs.encode(document) for document in expected), []]


def test_chunks_are_small_where_there_is_white_space(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_BLOCK", 100)
    (tmp_path / "text.txt").write_text("word " * 1000 + "x" * 1000 + "\n<b>" * 500 + "\n" * 1000 + "end")
    sizes = [len(text) for text, _ in reading.read_chunks([tmp_path / "text.txt"])]
    assert sum(size > 210 for size in sizes) == 2, "only the stretches that cannot be cut are larger"
    assert max(sizes) < 1300


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "is empty"),
        (b"\n<|endoftext|>\n\n", "is empty"),
        (b"a\xff", "not UTF-8 text: invalid start byte at byte 1"),
        (b"x" * 300_000 + b"\xc3(", "not UTF-8 text: invalid continuation byte at byte 300000"),
        (b"x" * (1 << 17) + b"\xe6\x97", f"not UTF-8 text: unexpected end of data at byte {1 << 17}"),
        (b"x" * ((1 << 17) - 1) + b"\xe6\x97" + b"y", f"not UTF-8 text: .* at byte {(1 << 17) - 1}"),
    ],
)
def test_bad_text_files_are_errors_and_nothing_is_left_of_them(text, tokenizer, tmp_path, content, message):
    path = tmp_path / "bad.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(judgekit.DataError, match=rf"bad\.txt: {message}"):
        Corpus.build([text, path], tokenizer, tmp_path / "corpus")
    assert list((tmp_path / "corpus").iterdir()) == []


def test_a_folder_is_no_text_no_files_are_no_corpus_and_a_file_is_no_folder(text, tmp_path, tokenizer):
    with pytest.raises(judgekit.DataError, match=f"{tmp_path.name}: "):
        Corpus.build([tmp_path], tokenizer, tmp_path / "corpus")
    with pytest.raises(judgekit.DataError):
        Corpus.build([], tokenizer, tmp_path / "corpus")
    with pytest.raises(judgekit.StorageError):
        Corpus.build([text], tokenizer, text)


# building and opening


def test_a_corpus_holds_each_document_with_its_end_of_text(built, tokenizer, tmp_path):
    expected = _encoded(DOCUMENTS, tokenizer)
    assert _documents(built) == expected
    assert built.document(1, limit=3) == expected[1][:3]
    assert len(built) == 4
    assert built.tokens == sum(map(len, expected))
    opened = Corpus.open(tmp_path / "corpus")
    assert _documents(opened) == expected
    assert isinstance(opened.data, np.memmap)
    content = (tmp_path / "corpus" / "tokens.bin").read_bytes()
    assert np.frombuffer(content, "<u2").tolist() == list(chain.from_iterable(expected))
    sha256, lengths = hashlib.sha256(content).hexdigest(), [len(ids) for ids in expected]
    manifest = {"vocabulary": 300, "sha256": sha256, "lengths": lengths}
    assert json.loads((tmp_path / "corpus" / "corpus.json").read_text()) == manifest
    assert len(list((tmp_path / "corpus").iterdir())) == 2


@pytest.mark.parametrize(("size", "width"), [(65_536, 2), (65_537, 4)])
def test_tokens_take_two_bytes_where_the_vocabulary_fits(text, tmp_path, size, width):
    tokenizer = _pairs(size)
    assert tokenizer.end_of_text == size - 1
    built = Corpus.build([text], tokenizer, tmp_path / "corpus")
    assert built.data.dtype.itemsize == width
    assert _documents(built) == _encoded(DOCUMENTS, tokenizer)
    assert _documents(Corpus.open(tmp_path / "corpus")) == _documents(built)


def test_building_again_replaces_a_corpus_and_a_failure_does_not(built, text, tokenizer, tmp_path):
    folder = tmp_path / "corpus"
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"\xff")
    with pytest.raises(judgekit.DataError):
        Corpus.build([text, bad], tokenizer, folder)
    assert _documents(Corpus.open(folder)) == _documents(built)
    text.write_text("Another text.")
    Corpus.build([text], tokenizer, folder)
    assert _documents(Corpus.open(folder)) == _encoded(["Another text."], tokenizer)
    assert _documents(built) == _encoded(DOCUMENTS, tokenizer), "who has the old one open goes on reading it"


def test_a_disk_without_room_is_an_error_and_leaves_nothing(text, tokenizer, tmp_path):
    tokenizer.encode("a")  # tiktoken is loaded before the room gets scarce
    with full_disk(60), pytest.raises(judgekit.StorageError, match=r"tokens\.bin: "):
        Corpus.build([text], tokenizer, tmp_path / "corpus")
    assert list((tmp_path / "corpus").iterdir()) == []


def _cut(folder):
    path = folder / "tokens.bin"
    path.write_bytes(path.read_bytes()[:-2])


def _flip(folder):
    path = folder / "tokens.bin"
    content = bytearray(path.read_bytes())
    content[7] ^= 1
    path.write_bytes(content)


def _edit(**values):
    def edit(folder):
        path = folder / "corpus.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return edit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_cut, r"tokens\.bin: truncated or damaged: \d+ bytes where \d+ are needed"),
        (_flip, r"tokens\.bin: not the tokens that corpus\.json describes: another sha256"),
        (lambda folder: (folder / "tokens.bin").unlink(), r"tokens\.bin: cannot be read: No such file"),
        (lambda folder: (folder / "corpus.json").unlink(), r"corpus\.json: cannot be read: No such file"),
        (lambda folder: (folder / "corpus.json").write_text('{"a'), r"corpus\.json: does not describe a corpus: "),
        (_edit(lengths=[]), r"corpus\.json: does not describe a corpus: lengths: "),
        (_edit(lengths=[3, -1]), r"corpus\.json: does not describe a corpus: lengths: 1: "),
        (_edit(vocabulary=70_000), r"tokens\.bin: truncated or damaged"),
        (_edit(more=1), r"corpus\.json: does not describe a corpus: more: "),
    ],
)
def test_a_damaged_or_foreign_corpus_is_never_used(built, tmp_path, damage, message):
    damage(tmp_path / "corpus")
    with pytest.raises(judgekit.DataError, match=message) as error:
        Corpus.open(tmp_path / "corpus")
    assert "\n" not in str(error.value)


# rows


@pytest.mark.parametrize("stride", [None, 1, 3, 20, 1000])
@pytest.mark.parametrize("length", [1, 7, 30])
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_rows_are_those_of_a_computation_in_memory(built, tokenizer, length, stride, seed):
    generator, again = (None, None) if seed is None else (_seeded(seed), _seeded(seed))
    expected = _in_memory(_encoded(DOCUMENTS, tokenizer), length, again, stride)
    rows = built.rows(length, stride, generator)
    batch = rows.batch(range(len(rows)))
    assert batch.tolist() == expected != []
    assert batch.dtype == torch.long
    assert rows.batch(torch.arange(len(rows)).flip(0)).tolist() == expected[::-1]


def test_rows_there_are_not(built):
    assert len(built.rows(built.tokens)) == 0
    assert len(built.rows(built.tokens - 1)) == 1
    assert built.rows(5).batch([]).shape == (0, 6)


def test_a_split_holds_documents_out(tmp_path, tokenizer):
    path = tmp_path / "text.txt"
    documents = [f"document {number}" for number in range(30)]
    path.write_text(SEPARATOR.join(documents))
    whole = Corpus.build([path], tokenizer, tmp_path / "corpus")
    learnt, held = whole.split(0.1, _seeded(4))
    order = torch.randperm(30, generator=_seeded(4)).tolist()
    assert _documents(held) == _encoded([documents[index] for index in order[:3]], tokenizer)
    assert _documents(learnt) == _encoded([documents[index] for index in order[3:]], tokenizer)
    assert learnt.tokens + held.tokens == whole.tokens
    rows = learnt.rows(10, generator=_seeded(7))
    assert rows.batch(range(len(rows))).tolist() == _in_memory(_documents(learnt), 10, _seeded(7))
    everything, nothing = whole.split(0.01, _seeded(4))
    assert (len(everything), len(nothing), nothing.tokens) == (30, 0, 0)
    assert len(nothing.rows(10)) == len(corpus.packed_batches(nothing.rows(10), 4, None)) == 0


# batches


def test_batches_hold_every_row_once_in_random_order(built):
    rows = built.rows(3)
    batches = corpus.packed_batches(rows, 4, _seeded(5))
    order = torch.randperm(len(rows), generator=_seeded(5))
    assert len(batches) == -(-len(rows) // 4)
    assert torch.cat([batch.inputs for batch in batches]).equal(rows.batch(order)[:, :-1])
    assert torch.cat([batch.targets for batch in batches]).equal(rows.batch(order)[:, 1:])
    assert [len(batch.inputs) for batch in batches] == [4] * (len(rows) // 4) + [len(rows) % 4] * (len(rows) % 4 > 0)
    in_order = corpus.packed_batches(rows, 4, None)
    assert torch.cat([batch.inputs for batch in in_order]).equal(rows.batch(range(len(rows)))[:, :-1])
    assert all(batch.weight == batch.targets.numel() and batch.names == () for batch in batches)


def test_a_slice_of_batches_makes_none_of_them(built, monkeypatch):
    batches = corpus.packed_batches(built.rows(3), 2, _seeded(5))
    expected = [batch.inputs.tolist() for batch in batches]
    assert len(expected) > 4
    for part in [slice(2), slice(1, None), slice(None, None, 2), slice(-2, None), slice(9, 3)]:
        assert [batch.inputs.tolist() for batch in batches[part]] == expected[part]
    assert batches[-1].inputs.tolist() == expected[-1]
    with pytest.raises(IndexError):
        batches[len(batches)]
    monkeypatch.setattr(corpus.Rows, "batch", None)
    assert len(batches[1:3]) == 2


# memory


def test_memory_does_not_grow_with_the_text(tmp_path, tokenizer):
    """One document of 1.3 MB, then of 4 MB, the tokens of which would take 14 MB in a list."""
    path = tmp_path / "text.txt"
    peaks = []
    for repeats in (25_000, 75_000):
        path.write_text("The cat sat on the mat and the dog on the log, at 12. " * repeats)
        tracemalloc.start()
        try:
            whole = Corpus.build([path], tokenizer, tmp_path / "corpus")
            batches = corpus.packed_batches(whole.rows(64, generator=_seeded(0)), 8, _seeded(0))
            assert sum(batch.weight for batch in batches[::100]) > 0
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert whole.tokens > 1_700_000
    assert peaks[1] < 1.1 * peaks[0] < 8_000_000


# --- what files of documents hold


@pytest.mark.parametrize(
    ("name", "content", "field"),
    [
        ("a.jsonl", '{"text": "One.\\n"}\n{"text": "Two <|endoftext|>"}\n', None),
        ("a.json", '[{"content": "One."}, {"content": "Two "}]', None),
        ("a.csv", "id,body\n1,One.\n2,Two \n", None),
        ("a.tsv", "id\tstory\n1\tOne.\n2\tTwo \n", "story"),
        ("a.jsonl", '{"pages": [{"said": "One."}]}\n{"pages": [{"said": "Two "}]}\n', "pages[0].said"),
    ],
)
def test_a_field_of_each_item_is_a_document(tmp_path, name, content, field):
    (tmp_path / name).write_text(content)
    assert ["".join(text for text, _ in reading.read_chunks([tmp_path / name], field))] == ["One.Two "]
    assert sum(ends for _, ends in reading.read_chunks([tmp_path / name], field)) == 2


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", '[{"instruction": "Say it.", "output": "It."}]', r"a\.json:1: item 1: which field is a document"),
        ("a.jsonl", '{"text": "One.", "body": "Two."}\n', r"a\.jsonl:1: which field"),
        ("a.jsonl", '{"text": "One."}\n{"text": 2}\n', r"a\.jsonl:2: 'text' is not a text"),
        ("a.jsonl", '{"text": "One."}\n{"body": "Two."}\n', r"a\.jsonl:2: no 'text'"),
        ("a.txt", '{"text": "One."}\n{"text": "Two."}\n', r"a\.txt:1: looks like JSON"),
        ("a.txt", '[\n {"text": "One."}\n]\n', r"a\.txt:1: looks like JSON"),
        ("a.txt", '[{"text": "One."}, {"text": "Two."}]', r"a\.txt:1: looks like JSON"),
        ("a.txt", '{"text": "One.' + "x" * 200_000 + '"}', r"a\.txt:1: looks like JSON"),
        ("a.md", '[\n  {\n    "text": "One."\n  }\n]\n', r"a\.md:1: looks like JSON"),
    ],
)
def test_markup_is_not_learnt_as_text(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(judgekit.DataError, match=said):
        list(reading.read_chunks([tmp_path / name]))


def test_marks_of_other_vocabularies_are_counted_aloud(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("One.</s>Two.</s>Three.<|im_end|>")
    assert len(list(reading.read_chunks([tmp_path / "mine.txt"]))) == 1
    list(reading.read_chunks([tmp_path / "mine.txt"]))
    said = "mine.txt: 2 × </s>, 1 × <|im_end|> is learnt as text: <|endoftext|> sets documents apart\n"
    assert capsys.readouterr().err == said, "once"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("page.txt", "<!DOCTYPE html>\n<p>One.</p>", "looks like markup, which is learnt as it stands: 1 × </p>"),
        ("doc.xml", "<doc><p>One.</p><p>Two.</p></doc>", "looks like markup"),
        ("a.jsonl", '{"text": "One &amp; <b>two</b>."}', "looks like markup"),
        ("rows.txt", "id,text\n" + "1,One\n" * 9, "looks like a table whose columns commas divide"),
        ("rows.data", "id\ttext\n" + "1\tOne\n" * 9, "looks like a table whose columns tabs divide"),
        ("a.txt", "One <|im_start|>user", "1 × <|im_start|> is learnt as text"),
        ("a.jsonl", '{"text": "<s>One.</s>"}', "1 × <s>, 1 × </s> is learnt as text"),
    ],
)
def test_what_may_not_be_plain_text_is_said(tmp_path, capsys, name, content, said):
    judgekit.data.tell_once.cache_clear()
    (tmp_path / name).write_text(content)
    assert list(reading.read_chunks([tmp_path / name]))
    assert f"{name}: {said}" in capsys.readouterr().err


def test_plain_text_is_read_without_a_word(tmp_path, capsys):
    text = "# Notes\n\nOne, two; three | 3 < 4 > 2, [a](b).\n{x}: a set.\n\n" * 20 + "word, " * 500
    (tmp_path / "a.md").write_text(text)
    assert list(reading.read_chunks([tmp_path / "a.md"]))
    assert capsys.readouterr().err == ""
