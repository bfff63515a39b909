"""What a version number says, and when it says nothing."""

from judgekit_ollama.versions import LOGPROBS, TRUNCATE, at_least, counts_cached, numbers
from tables import each


@each(
    ("0.12.4", (0, 12, 4)),
    ("v0.12.4", (0, 12, 4)),
    ("0.12.4-rc1", (0, 12, 4)),
    ("0.12.4+cuda", (0, 12, 4)),
    ("1.0", (1, 0)),
    ("0.0.0", None),
    ("", None),
    ("unknown", None),
    ("0.12.x", None),
    ("0.١٢.4", None),
)
def test_numbers(version, known):
    assert numbers(version) == known


@each(
    ("0.12.3", TRUNCATE, False),
    ("0.12.4", TRUNCATE, True),
    ("0.9.9", TRUNCATE, False),
    ("0.12.10", LOGPROBS, False),
    ("0.12.11", LOGPROBS, True),
    ("1.0", LOGPROBS, True),
    ("0.0.0", LOGPROBS, None),
)
def test_at_least(version, since, expected):
    assert at_least(version, since) is expected


@each(("0.1.48", False), ("0.2.0", True), ("0.12.3", True), ("0.29.9", True), ("0.30.0", False), ("0.30.9", True),
 ("0.33.0", True), ("0.0.0", True), ("", True))  # fmt: skip
def test_versions_that_leave_the_cache_out_of_their_count(version, expected):
    assert counts_cached(version) is expected
