"""Numbers and text as they are printed: the same way everywhere."""

from judgekit.records import Scale
from judgekit_html import numbers
from judgekit_html.visible import visible
from tables import each

SCORE = Scale(label="score", low=0, high=100)
SHARE = Scale(label="share", low=0, high=1, unit="%")
SHARE_CHANGE = Scale(label="share", low=-1, high=1, unit="%")
GRADE = Scale(label="grade", low=1, high=5)
ROUGE = Scale(label="ROUGE-L", low=0, high=1)


@each(
    (43.149, SCORE, "43.1"),
    (0.0, SCORE, "0.0"),
    (-0.04, SCORE, "0.0"),
    (-2.0, SCORE, "−2.0"),
    (0.4315, SHARE, "43.1\N{NARROW NO-BREAK SPACE}%"),
    (1.0, SHARE, "100.0\N{NARROW NO-BREAK SPACE}%"),
    (3.456, GRADE, "3.46"),
    (0.43149, ROUGE, "0.431"),
    (12345.67, SCORE, "12,345.7"),
    (None, SCORE, "–"),
)
def test_a_value(value, scale, text):
    assert numbers.amount(value, scale) == text


def test_a_difference_has_its_sign_and_shares_differ_by_percentage_points():
    assert numbers.amount(37.94, SCORE, difference=True) == "+37.9"
    assert numbers.amount(-0.25, SHARE_CHANGE, difference=True) == "−25.0\N{NARROW NO-BREAK SPACE}pp"
    assert numbers.amount(0.0, SCORE, difference=True) == "0.0"


@each(
    ((1.2, 0, 2.6), ["1.2", "0.0", "2.6"]),
    ((98.4, 96.94, 99.6), ["98.4", "96.9", "99.6"]),
    ((100.0, 100.0, 100.0), ["100", "100", "100"]),
    ((0.5, 0.3412, None), ["0.500", "0.341", "–"]),
    ((-3.25, -4, 1234.5), ["−3", "−4", "1,234"]),
    ((None, None, None), ["–"] * 3),
)
def test_values_that_belong_together_have_as_many_decimals(values, texts):
    assert numbers.alike(*values) == texts


def test_an_interval_needs_both_ends():
    assert numbers.span(37.0, 49.24, SCORE) == "[37.0, 49.2]"
    assert numbers.span(-0.05, 0.1, SHARE_CHANGE, difference=True) == "[−5.0, +10.0]"
    assert numbers.span(None, 49.24, SCORE) == ""


def test_cells_of_plugins_tables():
    assert [numbers.cell(v) for v in (None, 12345, -2, 3.14159, "a")] == ["–", "12,345", "−2", "3.142", "a"]


@each(
    ("plain text, naïve ☃ 你好", "plain text, naïve ☃ 你好"),
    ("line\nand\ttab", "line\nand\ttab"),
    ("windows\r\nline", "windows\nline"),
    ("over\rwritten", "over\\x0dwritten"),
    ("\x1b[31mred", "\\x1b[31mred"),
    ("nul\x00del\x7f", "nul\\x00del\\x7f"),
    ("\x9bcsi", "\\x9bcsi"),
    ("user\u202enimda", "user\\u202enimda"),
    ("\u2066isolated\u2069", "\\u2066isolated\\u2069"),
    ("\ufeffmark", "\\ufeffmark"),
    ("lone \ud800", "lone \\ud800"),
    ("\U000e0041hidden", "\\U000e0041hidden"),
    ("می\u200cخواهم", "می\u200cخواهم"),
    ("family 👩\u200d👧", "family 👩\u200d👧"),
)
def test_hidden_characters_are_shown(text, shown):
    assert visible(text) == shown
    shown.encode("utf-8")
