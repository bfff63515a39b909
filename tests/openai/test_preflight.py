"""What is found before the first call: a wrong address, a model that is not there."""

import pytest

from json_server import JsonServer
from judgekit_openai.backend import OpenAIBackend, OpenAIOptions
from judgekit_openai.preflight import is_listed
from openai_fake import Answer, OpenAIFake, failure
from real_model import llama_url
from tables import each


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def problems(base_url, model="m", **options):
    return OpenAIBackend(OpenAIOptions(model=model, base_url=base_url, **options)).check()


class At(JsonServer):
    """Chat completions at one path; everything else is `elsewhere`."""

    def __init__(self, path, elsewhere, lists=True):
        super().__init__()
        self.path, self.elsewhere, self.lists = path, elsewhere, lists

    def respond(self, call):
        if call.path == f"{self.path}/models" and self.lists:
            return Answer({"object": "list", "data": [{"id": "m"}]})
        if call.path == f"{self.path}/chat/completions":
            return failure(422, "Field required: messages")
        return self.elsewhere


GONE, PAGE = Answer({"detail": "Not Found"}, 404), Answer("<html><body>Welcome</body></html>")


LM_STUDIO = Answer({"error": "Unexpected endpoint or method. (POST /chat/completions)"})


@each(GONE, PAGE, LM_STUDIO, Answer("404 page not found", 404), Answer({"error": "Method Not Allowed"}, 405))
@pytest.mark.parametrize(("right", "given"), [
    ("/v1", ""), ("/v1", "/"), ("/v1", "/v1/chat/completions"), ("/v1", "/v1/models"), ("/v1", "/v1/v1"),
    ("/v1", "/v2"), ("/api/v1", ""), ("/openai/v1", "/openai"), ("/v1beta/openai", "/v1"), ("", "/v1"),
])  # fmt: skip
def test_a_wrong_address_is_named_with_the_right_one(elsewhere, right, given):
    with At(right, elsewhere) as server:
        [problem] = problems(server.url + given)
        assert (problem.severity, problem.exit_code) == ("error", 4)
        assert "offers no chat completions" in problem.message
        assert problem.message.endswith(f"set base_url: {server.url}{right}")
        assert problems(problem.message.partition("base_url: ")[2]) == [], "the advice is good"
        assert {call.body is None or call.body == {} for call in server.calls} == {True}, "nothing is generated"


def test_an_address_of_no_chat_completions_at_all():
    with JsonServer(lambda call: GONE) as server:
        [problem] = problems(f"{server.url}/v1")
    assert problem.message.endswith("is base_url right? It usually ends in /v1")


@each(GONE, PAGE, failure(403, "no"), failure(500, "broken"), Answer(drop=True))
def test_a_server_that_lists_no_models_is_no_wrong_address(elsewhere):
    with At("/v1", elsewhere, lists=False) as server:
        assert problems(f"{server.url}/v1") == []


def test_a_model_that_is_not_there():
    with OpenAIFake(models=["qwen2.5-7b-instruct", "llama-3.1-8b"]) as fake:
        [problem] = problems(fake.base_url, "qwen-2.5-7b-instruct")
        assert (problem.severity, problem.exit_code) == ("error", 4)
        assert "has no model 'qwen-2.5-7b-instruct': did you mean 'qwen2.5-7b-instruct'?" in problem.message
        assert problems(fake.base_url, "llama-3.1-8b") == []
        assert problems(fake.base_url, "an-alias", unlisted=True) == []
        [problem] = problems(fake.base_url, "gpt-4o")
        assert "did you mean" not in problem.message
        assert (
            "the server has llama-3.1-8b, qwen2.5-7b-instruct" in problem.message.lower()
            or "qwen2.5" in problem.message
        )
        assert fake.bodies == []


def test_a_list_that_goes_on_says_nothing_of_the_rest():
    def respond(call):
        return Answer({"data": [{"id": "a"}], "has_more": True})

    with JsonServer(respond) as server:
        assert problems(f"{server.url}/v1") == []


@each(
    ("gemini-2.0-flash", "models/gemini-2.0-flash", True),
    ("models/gemini-2.0-flash", "gemini-2.0-flash", True),
    ("llama3", "llama3:latest", True),
    ("Llama3", "llama3", True),
    ("vendor/model:free", "vendor/model", True),
    ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022", True),
    ("openai/gpt-4o", "openai/*", True),
    ("llama3:70b", "llama3", False),
    ("gpt-4", "gpt-4o", False),
    ("x-latest", "y-1", False),
)
def test_names_that_servers_take_for_one(model, listed, same):
    assert is_listed(model, [listed]) is same


def test_the_real_server():
    url = llama_url()
    assert [one.severity for one in problems(f"{url}/v1", "whatever")] == ["warning"]
    for wrong in ("/v2", "/v1/chat/completions", "/api"):
        [problem] = problems(url + wrong)
        assert problem.message.endswith(f"set base_url: {url}/v1") or problem.message.endswith(f"set base_url: {url}")
