"""The base classes that plugins fill in: options that are checked, paths, and who a backend is."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from judgekit.contracts import Backend, Options
from judgekit.errors import UsageError
from judgekit.records import Reply


class Named(Options):
    name: str = "a"
    share: float = 0.5


class Fixed(Backend):
    Options = Named

    def generate(self, requests):
        return [Reply(text="x") for _ in requests]


@pytest.mark.parametrize("wrong", [{"nmae": "a"}, {"share": float("nan")}, {"name": None}])
def test_options_refuse_unknown_keys_and_what_is_no_number(wrong):
    with pytest.raises(ValidationError):
        Named(**wrong)
    with pytest.raises(ValidationError):
        Named().name = "b"


def test_paths_start_at_the_configs_folder():
    backend = Fixed(where=Path("/configs"))
    assert backend.path("a/b") == Path("/configs/a/b")
    assert backend.path("/else") == Path("/else")
    with pytest.raises(UsageError):
        backend.path("a\0b")


def test_a_backend_is_its_class_its_options_and_its_code():
    assert Fixed().identity() == Fixed(Named()).identity() != Fixed(Named(name="b")).identity()
    assert len(str(Fixed().identity()["code"])) == 64
    assert not Fixed().is_identity(Fixed().identity())


def test_what_is_not_offered_says_so():
    with pytest.raises(NotImplementedError, match="Fixed"):
        Fixed().loglikelihood([])
    with pytest.raises(TypeError):
        Backend()
    assert (Fixed().check(), Fixed().lacks("generate"), Fixed().known_ids()) == ([], "", None)
