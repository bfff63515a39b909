"""Runs on conversations, with the talkers and the grader of talkers.py."""

import pytest

from judgekit.errors import PreflightError
from judgekit.pipeline.run import Run, Settings
from judgekit.plugins import build_manager
from talkers import Grader, Talker, TalkerPlugin
from talks import config, talk, write

PLUGINS = ("datasets", "json", "metrics", "readings", "responses")


@pytest.fixture
def here(tmp_path):
    write(tmp_path, [talk(number, 1 + number % 3) for number in range(6)])
    Talker.asked.clear()
    Grader.asked.clear()
    return tmp_path


@pytest.fixture
def run_of(here):
    def run(spec=None, **settings):
        manager = build_manager(only=PLUGINS, extra=[TalkerPlugin()])
        places = Settings(output=here / "runs", home=here / "home", **settings)
        return Run(spec or config(), here, manager, places)

    return run


@pytest.fixture
def execute(run_of):
    return lambda *spec, **settings: run_of(*spec, **settings).execute()


@pytest.fixture
def refused(execute):
    """What preflight says of a config, before any call."""

    def message(spec):
        with pytest.raises(PreflightError) as caught:
            execute(spec)
        assert not Talker.asked
        assert not Grader.asked
        return str(caught.value)

    return message
