"""Whether what a judge says may be an echo of the response under judgement, also where the echo is rewritten: entities
and escapes decoded, tags dropped, digits joined, other letters that look the same. Pure.

A claim that the response makes too is no verdict of the judge's own, unless it bears the call's nonce. In doubt it is
an echo: a judge that was not understood is asked again, and then signs its answer.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import unquote

from judgekit.judging.parsing import FRAME
from judgekit.thoughts import without_thoughts


def is_echo(line: str, responses: Iterable[str], cut: bool = False) -> bool:
    """Whether the line also is a line of one of the responses, or of what is left of an echo of them when its thoughts
    are cut off; `cut`: whether it is the beginning of one."""
    fold = len(_heard(line)) > 1  # "A" is no echo of the response "a"
    said, begun, joined = _heard(line, fold), line.strip(FRAME) if cut else "", _joined(line)
    texts = {text for response in responses for text in (response, without_thoughts(response))}
    for text in (way for said_or_left in texts for way in _ways(said_or_left)):
        if len(joined) > 1 and _joined(text) == joined:
            return True
        for other in text.splitlines():
            same = said and (_heard(other, fold) == said or (len(joined) > 1 and _joined(other) == joined))
            if same or (begun and other.strip(FRAME).startswith(begun)):
                return True
    return False


def stands_in(claim: str, responses: Iterable[str]) -> bool:
    """Whether one of the responses holds the claim, in a line or across lines: an echo may break them otherwise."""
    pattern = re.compile(rf"(?<!\w){_spaced(claim)}(?!\w)")
    return any(pattern.search(_heard(text)) for response in dict.fromkeys(responses) for text in _ways(response))


def claims(answer: str, labels: Iterable[str], responses: Iterable[str]) -> bool:
    """Whether one of the responses gives the answer behind one of the labels, in whatever words and marks."""
    claimed = _number_claimed if answer.lstrip("-").isdigit() else _word_claimed
    texts = dict.fromkeys(way for response in responses for way in _ways(response))
    return any(claimed(answer, tuple(labels), text) for text in texts)


def _spaced(text: str, alike: bool = True) -> str:
    """A pattern for the words of a text, however they are spaced; `alike`: letters may stand for digits."""
    signs = {"0": "[0o]", "1": "[1li]"} if alike else {}
    return " ?".join(signs.get(sign, re.escape(sign)) for sign in _packed(text))


def _number_claimed(number: str, labels: tuple[str, ...], text: str) -> bool:
    either = "|".join(_spaced(label) for label in labels)
    spelt = [rf"{_spaced(number, alike=False)}(?![0-9])", *filter(None, [_spelt(number)])]
    if re.search(rf"(?:{either})[^0-9]{{0,40}}?(?:{'|'.join(spelt)})", _heard(text)):
        return True
    return any(stands_in(f"{label}: {number}", [text]) for label in labels)


_BETWEEN = "is|:|the|goes|to|response|assistant|of|would|be"


def _word_claimed(word: str, labels: tuple[str, ...], text: str) -> bool:
    either, packed = "|".join(map(re.escape, labels)), re.escape(_packed(word))
    if re.search(rf"(?:{either})(?: (?:{_BETWEEN}))* {re.escape(_heard(word))}(?: |$)", _heard(text)):
        return True
    return any(re.search(rf"(?:{either}):*{packed}$", _packed(line)) for line in text.splitlines())


_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff]")
_WORD = re.compile(r"[^\W_]+|:")
MOST_LAYERS = 4  # of escapes in one another
_TAG = re.compile(r"<!--.{0,2000}?-->|</?\w[^<>]{0,200}>|\[/?[A-Za-z]{1,12}\]|\\[A-Za-z]+", re.DOTALL)
_ESCAPE = re.compile(r"\\u\{?([0-9A-Fa-f]{4})\}?|\\x([0-9A-Fa-f]{2})")
_LINE_BREAK = re.compile(r"\\[nrt]|<[Bb][Rr] ?/?>")
# Letters of other scripts that look like Latin ones.
_ALIKE = str.maketrans("асеорхуітѕјԁԝһкмнвαειοκνρτυχ", "aceopxyitsjdwhkmhbaeiokvptux")
_AS_DIGITS = str.maketrans("oli", "011")


@lru_cache(maxsize=64)
def _ways(text: str) -> tuple[str, ...]:
    """The text as it is, decoded as often as there is something to decode, and each of these without tags."""
    ways = {text: None}
    for _ in range(MOST_LAYERS):
        text = _decoded(text)
        bare = _TAG.sub("", _LINE_BREAK.sub("\n", text))
        ways |= dict.fromkeys([text, bare, _TAG.sub("", _decoded(bare))])
        if _decoded(text) == text:
            break
    return tuple(ways)


def _decoded(text: str) -> str:
    plain = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
    return html.unescape(unquote(_ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)), plain)))


@lru_cache(maxsize=4096)
def _heard(text: str, fold: bool = True) -> str:
    """The words and colons of a text, without what an echo may lose or change: case (`fold`), marks, widths of
    letters, characters that are not seen."""
    plain = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).replace("=", ":")
    if not plain.isascii():
        plain = unicodedata.normalize("NFC", "".join(_shown(plain)))
    return " ".join(_WORD.findall(plain.casefold().translate(_ALIKE) if fold else plain))


def _shown(text: str) -> Iterator[str]:
    """The characters without marks above, below or through them; digits of any script as ASCII."""
    for sign in unicodedata.normalize("NFD", text):
        if unicodedata.category(sign) != "Mn":
            yield str(unicodedata.digit(sign, sign))


def _packed(text: str) -> str:
    """The words and colons of a text in one."""
    return _heard(text).replace(" ", "")


def _joined(text: str) -> str:
    """The same, with letters that may pass for digits as such."""
    return _packed(text).translate(_AS_DIGITS)


_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def _spelt(number: str) -> str:
    """A pattern for a number up to 100 in English; "" for any other."""
    n = int(number) if len(number) < 4 else -1
    if 0 <= n < 20:
        return _UNITS[n]
    if 20 <= n < 100:
        return _TENS[n // 10 - 2] + (f" ?{_UNITS[n % 10]}" if n % 10 else "")
    return "(?:one|a)? ?hundred" if n == 100 else ""
