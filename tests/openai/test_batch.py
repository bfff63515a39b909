"""Many requests by the Batch API: whatever happens to it, each call gets its own reply or a typed failure."""

import json
import time

import pytest

from judgekit import (
    BackendError,
    Call,
    CallError,
    Errand,
    HttpStatusError,
    Message,
    QuotaError,
    Request,
    Sampling,
    StorageError,
    Unreachable,
)
from judgekit.calls.budget import Budget
from judgekit.calls.ledger import Ledger
from judgekit.config.blocks import BudgetConfig, Limits
from judgekit_openai import batch_api, batching
from judgekit_openai.backend import OpenAIBackend, OpenAIOptions
from lone_caller import LoneCaller
from openai_fake import Answer, OpenAIFake, completion, failure, refuse_parameter
from tables import each

SCHEMA = {"type": "object", "properties": {"score": {"type": "integer"}}}


def backend(fake, **options):
    given = {"model": "m", "base_url": fake.base_url, "mode": "batch", "poll": 0.01, "retries": 1} | options
    return OpenAIBackend(OpenAIOptions(**given))


def request(text, **fields):
    sampling = Sampling(temperature=0.0, seed=1, max_new_tokens=8)
    return Request(messages=(Message(role="user", content=text),), sampling=sampling, **fields)


def echo(body):
    return body["messages"][-1]["content"].upper()


QUESTIONS = [request(text) for text in ("one", "two", "three")]
ANSWERS = ["ONE", "TWO", "THREE"]


def errand(folder, *names, **rest):
    return Errand(names or ("a", "b", "c"), folder, **rest)


def texts(replies):
    return [reply.text for reply in replies]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The pauses after a lost creation are real time."""
    monkeypatch.setattr(batch_api, "_FIRST_PAUSE", 0.01)


def test_replies_come_by_name_in_the_order_of_the_requests_and_alike():
    with OpenAIFake(echo) as fake:
        judge = backend(fake)
        assert texts(judge.generate(QUESTIONS)) == ANSWERS
    assert (judge.max_batch, judge.max_concurrency) == (20_000, 1)
    [lines] = fake.batches.lines
    assert [(line["method"], line["url"]) for line in lines] == [("POST", "/v1/chat/completions")] * 3
    assert len({line["custom_id"] for line in lines}) == 3
    assert fake.bodies == [], "nothing is asked live"
    with OpenAIFake(echo) as fake:
        live = backend(fake, mode="live")
        live.generate(QUESTIONS)
        batch = backend(fake)
        batch.generate(QUESTIONS)
        assert [line["body"] for line in fake.batches.lines[0]] == fake.bodies
        assert batch.identity() == live.identity()
    replies = iter("abc")
    with OpenAIFake(lambda body: next(replies)) as fake:
        found = backend(fake).generate([request("same")] * 3)
    assert sorted(texts(found)) == ["a", "b", "c"]


def test_a_reply_is_read_as_a_live_one_is():
    def answer(body):
        text = body["messages"][-1]["content"]
        return {
            "cut": completion("8", finish_reason="length"),
            "refused": completion(None, refusal="No."),
            "long": failure(400, "too long", code="context_length_exceeded"),
            "odd": failure(400, "too odd", param="messages"),
            "busy": failure(500, "sorry"),
            "half": completion("8", finish_reason="abort"),
            "fine": completion("8", prompt_tokens=5, completion_tokens=2),
        }[text]

    asked = ["cut", "refused", "long", "odd", "busy", "half", "fine"]
    with OpenAIFake(answer) as fake:
        replies = backend(fake).generate([request(text) for text in asked])
    expected = ["truncated", "refused", "truncated", "error", "error", "error", "complete"]
    assert [reply.status for reply in replies] == expected
    assert "too odd" in replies[3].detail
    assert "500: sorry" in replies[4].detail
    assert "finish_reason 'abort'" in replies[5].detail
    assert (replies[6].usage.prompt_tokens, replies[6].usage.completion_tokens) == (5, 2)


# --- what a model refuses ---


def test_a_refused_parameter_is_left_out_and_only_the_refused_lines_are_sent_again():
    def reasoning(body):
        return (
            refuse_parameter("temperature")
            if "temperature" in body and body["messages"][0]["content"] != "one"
            else echo(body)
        )

    with OpenAIFake(reasoning) as fake:
        judge = backend(fake)
        replies = judge.generate(QUESTIONS)
        again = judge.generate([request("four")])
    assert texts(replies) == ANSWERS
    note = "temperature was refused by the server and left out"
    assert [reply.notes for reply in replies] == [(), (note,), (note,)]
    assert [len(lines) for lines in fake.batches.lines] == [3, 2, 1]
    names = [{line["custom_id"] for line in lines} for lines in fake.batches.lines]
    assert names[1] < names[0], "a call keeps its name"
    assert again[0].notes == (note,), "remembered"


def test_refusals_give_way_or_end():
    def only_words(body):
        if "response_format" in body:
            return failure(400, f"response_format {body['response_format']['type']} is not supported")
        return '{"score": 4}'

    with OpenAIFake(only_words) as fake:
        [reply] = backend(fake).generate([request("grade", json_schema=SCHEMA)])
    assert reply.text == '{"score": 4}'
    assert reply.notes == ("the server refused a JSON schema; asked with response_format none",)
    assert len(fake.batches.created) == 3
    with OpenAIFake([refuse_parameter("messages")]) as fake:
        [reply] = backend(fake).generate([request("x")])
    assert (reply.status, len(fake.batches.created)) == ("error", 1)


def test_log_probabilities_in_a_batch_and_their_absence():
    listed = [
        {"token": "4", "logprob": -0.1, "bytes": [52], "top_logprobs": [{"token": "4", "logprob": -0.1, "bytes": [52]}]}
    ]
    with OpenAIFake([completion("4", logprobs=listed)]) as fake:
        [reply] = backend(fake).generate([request("grade", top_logprobs=3)])
        body = fake.batches.lines[0][0]["body"]
    assert reply.tokens[0].top == (("4", -0.1),)
    assert (body["logprobs"], body["top_logprobs"]) == (True, 3)
    with OpenAIFake("4") as fake, pytest.raises(BackendError, match="gives no log-probabilities"):
        backend(fake).generate([request("grade", top_logprobs=3)])


# --- what can become of a batch ---


@each("expired", "cancelled")
def test_lines_that_were_not_worked_on_are_typed(fate):
    with OpenAIFake(echo) as fake:
        fake.batches.ends_as = fate
        fake.batches.fate = lambda line: fate if line["body"]["messages"][0]["content"] == "two" else ""
        replies = backend(fake).generate(QUESTIONS)
    assert texts(replies) == ["ONE", "", "THREE"]
    assert (replies[1].status, replies[1].detail) == ("error", f"batch_{fate}: This request was not executed.")


@each("Canceled", "COMPLETED")
def test_other_servers_spell_the_end_in_other_ways(word):
    with OpenAIFake(echo) as fake:
        fake.batches.ends_as = word
        assert texts(backend(fake).generate(QUESTIONS)) == ANSWERS


def test_a_line_without_any_result_is_typed():
    with OpenAIFake(echo) as fake:
        fake.batches.fate = lambda line: "lost" if line["body"]["messages"][0]["content"] == "two" else ""
        replies = backend(fake).generate(QUESTIONS)
    assert replies[1].status == "error"
    assert replies[1].detail == "the batch batch_0000 ended as completed, without a result for this call"


@each(
    ("token_limit_exceeded", BackendError, "Enough is enough; a smaller batch_size may fit the limit"),
    ("billing_hard_limit_reached", QuotaError, "Enough is enough"),
    ("invalid_json_line", BackendError, "batch_0000 was refused: Enough is enough"),
)
def test_a_batch_that_is_refused_as_a_whole_says_so_in_the_servers_words(code, error, words):
    with OpenAIFake(echo) as fake:
        fake.batches.refusal = (code, "Enough is enough")
        with pytest.raises(error, match=words) as caught:
            backend(fake).generate(QUESTIONS)
    assert type(caught.value) is error
    assert len(fake.batches.created) == 1


def test_a_server_without_batches_or_models_is_found():
    with OpenAIFake(echo, models=["other"]) as fake, pytest.raises(BackendError, match="no model 'm'"):
        backend(fake).generate(QUESTIONS)
    with OpenAIFake(echo) as fake:
        fake.batches = None
        [problem] = backend(fake).check()
        assert (problem.severity, problem.exit_code) == ("error", 4)
        assert "offers no Batch API: leave out `mode: batch`" in problem.message
        with pytest.raises(BackendError, match="offers no Batch API"):
            backend(fake).generate(QUESTIONS)
        assert backend(fake, mode="live").check() == []
    with OpenAIFake(echo) as fake:
        assert backend(fake).check() == []
        fake.batches.lists = False
        assert backend(fake).check() == []
    assert (fake.batches.created, fake.batches.files) == ([], {})


@each(("MOST_LINES", 2), ("MOST_BYTES", 500))
def test_what_is_too_much_for_one_file_goes_into_several(bound, most, monkeypatch):
    monkeypatch.setattr(batching, bound, most)
    with OpenAIFake(echo) as fake:
        assert texts(backend(fake).generate([*QUESTIONS, *map(request, ("four", "five"))])) == [
            *ANSWERS,
            "FOUR",
            "FIVE",
        ]
    assert [len(lines) for lines in fake.batches.lines] == [2, 2, 1]


def test_results_may_be_far_larger_than_any_single_reply():
    with OpenAIFake(lambda body: "x" * (5 << 20)) as fake:
        replies = backend(fake).generate(QUESTIONS)
    assert [len(reply.text) for reply in replies] == [5 << 20] * 3


def test_a_cut_result_file_is_no_answer_and_loses_nothing(tmp_path):
    with OpenAIFake(echo) as fake:
        judge = backend(fake)
        finish = fake.batches._finish

        def cut(batch):
            finish(batch)
            whole.append(fake.batches.files[batch["output_file_id"]])
            fake.batches.files[batch["output_file_id"]] = whole[0][:-40]

        whole = []
        fake.batches._finish = cut
        with pytest.raises(CallError, match="batch_0000 is cut or damaged"):
            judge.carry_out(QUESTIONS, errand(tmp_path))
        fake.batches.files[fake.batches.created[0]["output_file_id"]] = whole[0]
        assert texts(backend(fake).carry_out(QUESTIONS, errand(tmp_path))) == ANSWERS
    assert len(fake.batches.created) == 1


def test_looking_grows_rarer_and_tells_how_far_it_is(tmp_path):
    said, pauses = [], []
    with OpenAIFake(echo) as fake:
        fake.batches.looks = 4
        judge = backend(fake, poll=60.0)
        api = judge._batch_api()
        api.http.pause = pauses.append
        judge._batch_api = lambda: api
        judge.carry_out(QUESTIONS, errand(tmp_path, report=lambda *told: said.append(told)))
    assert pauses == [1.0, 1.5, 2.25, 3.375]
    assert said[0] == ("batch batch_0000", 0, 3, "validating")
    assert said[-1] == ("batch batch_0000", 3, 3, "completed")


def test_an_error_in_a_batchs_place_is_not_waited_for(tmp_path):
    with OpenAIFake(echo) as fake:
        respond = fake.respond

        def odd(call):
            looks = call.method == "GET" and call.path.startswith("/v1/batches/")
            return Answer({"id": "batch_0001", "error": "no such thing"}) if looks else respond(call)

        fake.respond = odd
        with pytest.raises(Unreachable, match=r"a batch without a status; .* goes on without us"):
            backend(fake).carry_out(QUESTIONS, errand(tmp_path))


def test_a_server_that_is_away_for_a_while_is_waited_for(tmp_path, monkeypatch):
    with OpenAIFake(echo) as fake:
        respond = fake.respond
        bad = {"left": 4}

        def shaky(call):
            if call.method == "GET" and call.path.startswith("/v1/batches/") and bad["left"]:
                bad["left"] -= 1
                return Answer(drop=True)
            return respond(call)

        fake.respond = shaky
        assert texts(backend(fake, retries=0).carry_out(QUESTIONS, errand(tmp_path))) == ANSWERS
        bad["left"] = 1000
        with pytest.raises(Unreachable, match="batch_0001 goes on without us"):
            backend(fake, retries=0).carry_out([request("four")], errand(tmp_path, "d"))
        bad["left"] = 0
        assert texts(backend(fake).carry_out([request("four")], errand(tmp_path, "d"))) == ["FOUR"]
    assert len(fake.batches.created) == 2


@each(True, False)
def test_a_creation_whose_answer_is_lost_is_looked_for_before_it_is_tried_again(lists):
    with OpenAIFake(echo) as fake:
        respond = fake.respond
        fake.batches.lists = lists
        lost = []

        def deaf(call):
            answer = respond(call)
            if (call.method, call.path) == ("POST", "/v1/batches") and not lost:
                lost.append(answer)
                return Answer(drop=True)
            return answer

        fake.respond = deaf
        judge = backend(fake)
        if lists:
            assert texts(judge.generate(QUESTIONS)) == ANSWERS
        else:
            with pytest.raises(BackendError, match="whether it was submitted cannot be told"):
                judge.generate(QUESTIONS)
    assert len(fake.batches.created) == 1, "never twice"


def test_a_creation_is_tried_again_or_refused():
    with OpenAIFake(echo) as fake:
        respond = fake.respond
        turns = [failure(429, "slow down", code="rate_limit_exceeded"), failure(503, "busy")]

        def busy(call):
            return turns.pop(0) if (call.method, call.path) == ("POST", "/v1/batches") and turns else respond(call)

        fake.respond = busy
        assert texts(backend(fake).generate(QUESTIONS)) == ANSWERS
    assert len(fake.batches.created) == 1
    with OpenAIFake(echo) as fake:
        respond = fake.respond
        no = failure(400, "The endpoint is not allowed for this project.")
        fake.respond = lambda call: no if (call.method, call.path) == ("POST", "/v1/batches") else respond(call)
        with pytest.raises(BackendError, match=r"not accepted.*not allowed for this project"):
            backend(fake).generate(QUESTIONS)


# --- starting again ---


class Killed(BaseException):
    """The end of the process, as far as the code can tell."""


@pytest.mark.parametrize("folder", [True, False])
@pytest.mark.parametrize("step", ["upload", "create", "get", "download"])
def test_killed_at_any_step_the_same_calls_lead_to_the_same_batch(tmp_path, monkeypatch, step, folder):
    place = tmp_path if folder else None

    def die(*_):
        raise Killed

    with OpenAIFake(echo) as fake:
        judge = backend(fake)
        api = judge._batch_api()
        judge._batch_api = lambda: api
        real = getattr(api, "results" if step == "download" else step)
        for after in (False, True):  # before the server hears of it, and after

            def dying(*args, after=after, **named):
                if after:
                    done = real(*args, **named)
                    if step == "download":
                        next(done)
                raise Killed

            monkeypatch.setattr(api, "results" if step == "download" else step, dying)
            with pytest.raises(Killed):
                judge.carry_out(QUESTIONS, errand(place))
        said = []
        again = backend(fake)
        assert texts(again.carry_out(QUESTIONS, errand(place, report=lambda *told: said.append(told)))) == ANSWERS
    assert len(fake.batches.created) == 1
    assert len(fake.batches.files) <= 4, "an upload more at most for each death"


def test_what_was_refused_is_learnt_again_from_the_finished_batch(tmp_path):
    def reasoning(body):
        return refuse_parameter("temperature") if "temperature" in body else echo(body)

    for folder in (tmp_path, None):
        with OpenAIFake(reasoning) as fake:
            first = backend(fake).carry_out(QUESTIONS, errand(folder))
            again = backend(fake).carry_out(QUESTIONS, errand(folder))
            assert first == again
            assert len(fake.batches.created) == 2


def test_calls_that_were_committed_before_the_kill_are_not_asked_again(tmp_path):
    with OpenAIFake(echo) as fake:
        backend(fake).carry_out(QUESTIONS, errand(tmp_path))
        rest = backend(fake).carry_out(QUESTIONS[1:], errand(tmp_path, "b", "c"))
        assert texts(rest) == ANSWERS[1:]
        more = backend(fake).carry_out([QUESTIONS[2], request("four")], errand(tmp_path, "c", "d"))
        assert texts(more) == ["THREE", "FOUR"]
    assert [len(lines) for lines in fake.batches.lines] == [3, 1]


def test_another_name_is_another_call(tmp_path):
    """A fresh run, a repeat or a retry is asked anew, though the question be the same."""
    with OpenAIFake(echo) as fake:
        backend(fake).carry_out(QUESTIONS, errand(tmp_path))
        backend(fake).carry_out(QUESTIONS, errand(tmp_path, "x", "y", "z"))
    assert len(fake.batches.created) == 2


def test_what_failed_is_asked_again_by_the_next_start(tmp_path):
    with OpenAIFake(echo) as fake:
        fake.batches.fate = lambda line: "expired" if line["body"]["messages"][0]["content"] == "two" else ""
        first = backend(fake).carry_out(QUESTIONS, errand(tmp_path))
        assert [reply.status for reply in first] == ["complete", "error", "complete"]
        fake.batches.fate = lambda line: ""
        assert texts(backend(fake).carry_out([QUESTIONS[1]], errand(tmp_path, "b"))) == ["TWO"]
        assert texts(backend(fake).carry_out(QUESTIONS, errand(tmp_path))) == ANSWERS
    assert [len(lines) for lines in fake.batches.lines] == [3, 1]
    for folder in (tmp_path, None):
        with OpenAIFake(echo) as fake:
            fake.batches.fate = lambda line: "expired"
            fake.batches.ends_as = "expired"
            first = backend(fake).carry_out(QUESTIONS, errand(folder))
            assert [reply.status for reply in first] == ["error"] * 3
            fake.batches.fate, fake.batches.ends_as = (lambda line: ""), "completed"
            assert texts(backend(fake).carry_out(QUESTIONS, errand(folder))) == ANSWERS
            assert len(fake.batches.created) == 2


def test_a_refused_batch_is_submitted_again_by_the_next_start(tmp_path):
    with OpenAIFake(echo) as fake:
        fake.batches.refusal = ("token_limit_exceeded", "later")
        with pytest.raises(BackendError):
            backend(fake).carry_out(QUESTIONS, errand(tmp_path))
        fake.batches.refusal = None
        assert texts(backend(fake).carry_out(QUESTIONS, errand(tmp_path))) == ANSWERS


def test_results_that_the_server_has_thrown_away_are_asked_for_anew(tmp_path):
    with OpenAIFake(echo) as fake:
        backend(fake).carry_out(QUESTIONS, errand(tmp_path))
        del fake.batches.files[fake.batches.created[0]["output_file_id"]]
        assert texts(backend(fake).carry_out(QUESTIONS, errand(tmp_path))) == ANSWERS
    assert len(fake.batches.created) == 2


def test_batches_of_others_are_left_alone_on_any_page(tmp_path):
    with OpenAIFake(echo) as fake:
        fake.batches.held = True
        backend_of_old = backend(fake)
        api = backend_of_old._batch_api()
        api.get = lambda batch: (_ for _ in ()).throw(Killed)
        backend_of_old._batch_api = lambda: api
        with pytest.raises(Killed):
            backend_of_old.carry_out(QUESTIONS, errand(None))
        fake.batches.held = False
        file = next(iter(fake.batches.files))
        for number in range(5):
            fake.batches._create({"input_file_id": file, "completion_window": "24h",
                                  "endpoint": "/v1/chat/completions", "metadata": {"number": str(number)}})  # fmt: skip
        fake.batches.page = 2
        assert texts(backend(fake).carry_out(QUESTIONS, errand(None))) == ANSWERS
    assert len(fake.batches.created) == 6


def test_a_damaged_note_says_nothing(tmp_path):
    with OpenAIFake(echo) as fake:
        backend(fake).carry_out(QUESTIONS, errand(tmp_path))
        [note] = (tmp_path / "batches").glob("*.json")
        note.write_text(note.read_text()[:50])
        assert texts(backend(fake).carry_out(QUESTIONS, errand(tmp_path))) == ANSWERS
    assert len(fake.batches.created) == 1, "found by its digest"


def test_a_note_holds_no_question_and_no_key(tmp_path, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "sk-canary-0123456789abcdef")
    with OpenAIFake(echo, key="sk-canary-0123456789abcdef") as fake:
        backend(fake, key_env="JUDGE_KEY").carry_out(QUESTIONS, errand(tmp_path))
    [note] = (tmp_path / "batches").iterdir()
    tree = json.loads(note.read_text())
    assert tree["names"] == ["a", "b", "c"]
    assert not any(word in note.read_text() for word in ("one", "canary"))


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path):
    (tmp_path / "batches").write_text("in the way")
    with OpenAIFake(echo) as fake, pytest.raises(StorageError, match="cannot be kept"):
        backend(fake).carry_out(QUESTIONS, errand(tmp_path))
    assert fake.batches.created == []


def test_an_error_file_that_is_gone_is_an_error_of_the_calls():
    with OpenAIFake(echo) as fake:
        finish = fake.batches._finish
        fake.batches._finish = lambda batch: (finish(batch), fake.batches.files.pop(batch["output_file_id"]))
        with pytest.raises(HttpStatusError, match="No such File"):
            backend(fake).generate(QUESTIONS)


# --- in a caller ---


def called(fake, folder, **settings):
    with (
        Ledger(folder / "ledger.sqlite") as ledger,
        LoneCaller(backend(fake), ledger, concurrency=8, **settings) as caller,
    ):
        return list(caller.calls("generate", map(Call, QUESTIONS)))


def test_limits_and_budgets_count_lines(tmp_path):
    with OpenAIFake(echo) as fake:
        slow = Limits(requests_per_minute=1, tokens_per_minute=1)
        start = time.monotonic()
        for namespace in ("a", "b", "c"):
            assert texts(called(fake, tmp_path, limits=slow, namespace=namespace)) == ANSWERS
        assert time.monotonic() - start < 20
    assert len(fake.batches.created) == 3
    with OpenAIFake(echo) as fake:
        budget = Budget(BudgetConfig(calls=5))
        assert texts(called(fake, tmp_path, budget=budget)) == ANSWERS
        assert budget.spent.calls == 3
        refused = called(fake, tmp_path, budget=budget, namespace="again")
    assert [reply.status for reply in refused] == ["error"] * 3
    assert len(fake.batches.created) == 1
