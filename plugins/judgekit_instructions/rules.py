"""Rules for the quality of instruction data: one small function each, with its reason.

A rule about one item is marked `each` and returns a detail, or None. A rule about items beside each other is marked
`among` and is given all of them with the places to look at. `judgekit data quality` knows every rule of this file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import judgekit
import judgekit.data
from judgekit_instructions import scripts
from judgekit_instructions.near import folded, near_duplicates, normalised
from judgekit_instructions.options import question_of, shown, where


@dataclass(frozen=True)
class RuleLimits:
    """Limits of the rules. Words are runs of letters and digits between spaces and signs."""

    min_words: int = 1  # of an output
    max_words: int = 1000  # of an item's question and answers together
    max_chars: int = 8000
    threshold: float = 0.8  # of similarity, from which two questions are nearly the same


@dataclass(frozen=True)
class Data:
    """Items, with what the rules share worked out once."""

    items: Sequence[judgekit.data.Item]
    limits: RuleLimits = RuleLimits()

    @cached_property
    def questions(self) -> list[str]:
        return [question_of(item.sample) for item in self.items]

    @cached_property
    def answers(self) -> list[str]:
        return ["\n".join(normalised(one or "") for one in item.sample.references) for item in self.items]

    @cached_property
    def near(self) -> dict[int, list[tuple[int, float]]]:
        """The earlier items that ask nearly the same (not just the same), by item, with their similarity."""
        earlier: dict[int, list[tuple[int, float]]] = {}
        firsts: dict[str, int] = {}
        for place, question in enumerate(self.questions):
            firsts.setdefault(question, place)
        places = list(firsts.values())
        for a, b, similarity in near_duplicates(
            [folded(self.questions[place]) for place in places], self.limits.threshold
        ):
            earlier.setdefault(places[b], []).append((places[a], similarity))
        return earlier


class Finding(NamedTuple):
    place: int  # among the data's items
    detail: str


@dataclass(frozen=True)
class Rule:
    name: str
    reason: str
    find: Callable[[Data, Sequence[int]], Iterator[Finding]]  # given the places to look at, in order


RULES: dict[str, Rule] = {}
Find = Callable[[Data, Sequence[int]], Iterator[Finding]]
Look = Callable[[judgekit.Sample, RuleLimits], str | None]


def among(name: str, reason: str) -> Callable[[Find], Find]:
    """A rule about items beside each other."""

    def add(find: Find) -> Find:
        RULES[name] = Rule(name, reason, find)
        return find

    return add


def each(name: str, reason: str) -> Callable[[Look], Look]:
    """A rule about one item alone."""

    def add(look: Look) -> Look:
        def find(data: Data, places: Sequence[int]) -> Iterator[Finding]:
            for place in places:
                if (detail := look(data.items[place].sample, data.limits)) is not None:
                    yield Finding(place, detail)

        RULES[name] = Rule(name, reason, find)
        return look

    return add


def _outputs(sample: judgekit.Sample) -> list[str]:
    return [text for text in sample.references if text is not None and text.strip()]


def _asked(sample: judgekit.Sample) -> str:
    return "\n".join((sample.instruction, sample.input, *sample.turns))


_WORD = re.compile(r"\w+")
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)

# --- length ----------------------------------------------------------------------------------------------------------


@each("empty_output", "there is nothing to learn")
def _empty(sample: judgekit.Sample, limits: RuleLimits) -> str | None:
    empty = sum(text is None or not text.strip() for text in sample.references)
    turns = len(sample.references)
    return None if not empty else "no output" if turns == 1 else f"{empty} of {turns} turns have no answer"


@each("too_short", "an output without a word teaches nothing")
def _short(sample: judgekit.Sample, limits: RuleLimits) -> str | None:
    for text in _outputs(sample):
        if (words := len(_WORD.findall(text))) < limits.min_words:
            return f"{words} words: {shown(text)!r}"
    return None


@each("too_long", "it will be cut at the model's context")
def _long(sample: judgekit.Sample, limits: RuleLimits) -> str | None:
    whole = "\n".join([_asked(sample), *_outputs(sample)])
    words = len(_WORD.findall(whole))
    if words > limits.max_words or len(whole) > limits.max_chars:
        return f"{judgekit.counted(words, 'word')}, {judgekit.counted(len(whole), 'character')}"
    return None


# --- format ----------------------------------------------------------------------------------------------------------


@each("open_fence", "a code block is opened and not closed")
def _fence(sample: judgekit.Sample, limits: RuleLimits) -> str | None:
    for text in _outputs(sample):
        if len(re.findall(r"^\s*(?:```|~~~)", text, re.MULTILINE)) % 2:
            return f"ends {shown(text[-40:])!r}"
    return None


_GOES_ON = re.compile(
    r"(?:[,;(\[{]|\b(?:and|or|but|the|a|an|of|to|in|with|for|because|that|which|is|are))\s*\Z", re.IGNORECASE
)


@each("cut_off", "the output ends in the middle: on a comma, an opening bracket or a word that another must follow")
def _cut(sample: judgekit.Sample, limits: RuleLimits) -> str | None:
    for text in _outputs(sample):
        if len(_WORD.findall(text)) >= 8 and _GOES_ON.search(text) and "```" not in text:
            return f"ends {shown(text[-40:])!r}"
    return None


_MEDIUM = (
    r"(?:diagram|image|picture|photo|drawing|illustration|figure|chart|graph|screenshot|video|audio|sketch|logo|map)"
)
_PLACEHOLDER = re.compile(
    rf"<(?:no ?input|no ?output|your [^<>]{{1,30}}|insert [^<>]{{1,30}}|(?:an? )?{_MEDIUM}[^<>\n=]{{0,80}})>"
    rf"|\[(?:(?:your|insert|enter) [^\]]{{1,30}}|(?:an? )?{_MEDIUM}\b[^\]\n]{{0,80}})\](?!\()"
    rf"|\((?:an? )?{_MEDIUM}(?: clip| file)? (?:of|showing|with) [^()\n]{{1,80}}\)"
    r"|!\[[^\]\n]{0,80}\]\([^)\n]{1,200}\)"
    r"|\blorem ipsum\b|\A\s*(?:n/?a|none|null|nan|todo|tbd|xxx+|\.\.\.|…)\s*\.?\s*\Z"
    r"|\A\W*(?:no ?input(?: (?:required|needed|provided|given|necessary))?|not applicable)\W*\Z",
    re.IGNORECASE,
)


@each("placeholder", "a text stands for one that nobody has put in")
def _placeholder(sample: judgekit.Sample, limits: RuleLimits) -> str | None:
    for text in (*_outputs(sample), sample.input):
        if match := _PLACEHOLDER.search(text):
            return shown(match.group().strip())
    return None


_MARKER = re.compile(
    r"^#{2,3} ?(?:Response|Instruction|Input|Output|응답|명령어|지시사항|입력)\s*:"
    r"|<\|[a-z_]{2,20}\|>|<<SYS>>|\[/?INST\]|<(?:start|end)_of_turn>|^(?:USER|ASSISTANT|Human|Assistant): "
    r"|Below is an instruction that describes a task|아래는 작업을 설명하는 명령어"
    r"|(?<=\n)(?:\d+[.)] ?)?(?:Instruction|Input|Output|User|Human|Assistant|Q|질문|답변) ?: ?|\n#{2,3}(?: End)?\s*\Z",
    re.MULTILINE,
)


@each("prompt_marker", "the prompt's own marks are left in the output: a model learns to write them")
def _marker(sample: judgekit.Sample, limits: RuleLimits) -> str | None:
    for text in _outputs(sample):
        if (match := _MARKER.search(text)) and match.group() not in _asked(sample):
            return shown(match.group())
    return None


# --- relevance, refusals, language -----------------------------------------------------------------------------------

_FUNCTION_WORDS = (
    "about above after again also been before being below between both could does doing down during each else even "
    "ever every from have having here into just like made make many more most much must only other over same should "
    "some such than that their them then there these they this those through under until upon very were what when "
    "where which while whom will with within without would your yours"
)
_FREE = re.compile(
    r"\b(?:generate|create|write|compose|invent|imagine|brainstorm|translate|suggest|name|list|give|story|poem|random|code"
    r"|program|function|query)",
    re.IGNORECASE,
)


@each(
    "irrelevant",
    "of twelve words or more none begins as one of the question's (four letters, function words aside), which neither "
    "leaves the topic free nor asks for a translation; a sign, and no proof",
)
def _irrelevant(sample: judgekit.Sample, limits: RuleLimits) -> str | None:
    if sample.turns or _FREE.search(sample.instruction) or not scripts.same(_asked(sample), sample.reference or ""):
        return None
    text = _FENCED.sub(" ", sample.reference or "")
    words = _WORD.findall(text)
    if len(words) < 12 or scripts.main(text) != "Latin":  # elsewhere words bend, or no space ends them
        return None
    function_words = _FUNCTION_WORDS.split()
    said, asked = (
        {word[:4] for word in _WORD.findall(one.casefold()) if len(word) > 3 and word not in function_words}
        for one in (text, _asked(sample))
    )
    return None if said & asked or not asked else shown(text)


_REFUSAL = re.compile(
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model)\b"
    r"|\bi(?:'|’)?m (?:just |only )?an? (?:ai|language model)\b"
    r"|\bi (?:can ?not|can(?:'|’)t|am unable to|am not able to|(?:'|’)m unable to) "
    r"(?:help|assist|answer|provide|complete|fulfil|comply|do that|process|access|browse|open|see|view|generate|create)"
    r"|\A\W*(?:i(?:'|’)m |i am )?(?:so |very )?sorry\b|\A\W*i apologi[sz]e"
    r"|죄송하지만|죄송합니다만|\A\W*죄송합니다|(?:인공지능|AI) ?(?:언어 ?)?모델(?:로서|이라|이기|이므로)"
    r"|(?:도와드릴|답변(?:을)? ?(?:드릴|할)|제공(?:할|해 드릴)|알려드릴) 수(?:가)? 없",
    re.IGNORECASE,
)


@each("refusal", "the output declines, or speaks of the model that wrote it")
def _refusal(sample: judgekit.Sample, limits: RuleLimits) -> str | None:
    asked = _asked(sample).casefold()
    for text in _outputs(sample):
        match = _REFUSAL.search(text[:300])
        if (
            match and match.group().strip().casefold() not in asked
        ):  # an item that asks to correct such a sentence may repeat it
            return shown(text)
    return None


_LANGUAGE = re.compile(
    r"translat|transliterat|language|번역|翻译|翻譯|翻訳|영어|한국어|중국어|일본어"
    r"|\b(?:Arabic|Bulgarian|Chinese|Cyrillic|English|Greek|Hebrew|Hindi|Japanese|Korean|Mandarin|Persian|Russian|Thai"
    r"|Ukrainian)\b",
    re.IGNORECASE,
)


@each("language", "the output is in another script than what was asked, which says nothing of a language")
def _language(sample: judgekit.Sample, limits: RuleLimits) -> str | None:
    asked = _asked(sample)
    for text in _outputs(sample):
        plain = _FENCED.sub(" ", text)
        if not scripts.same(asked, plain) and not _LANGUAGE.search(asked):
            return f"{scripts.main(plain)} to {scripts.main(asked)}: {shown(text)!r}"
    return None


# --- items beside each other -----------------------------------------------------------------------------------------


@among("duplicate", "the same question with the same output once more: it counts twice")
def _duplicate(data: Data, places: Sequence[int]) -> Iterator[Finding]:
    first: dict[tuple[str, str], int] = {}
    for place in places:
        earlier = first.setdefault((data.questions[place], data.answers[place]), place)
        if earlier != place:
            yield Finding(place, f"as {where(data.items[earlier])}")


@among("conflict", "the same question, answered otherwise before: which of them is right?")
def _conflict(data: Data, places: Sequence[int]) -> Iterator[Finding]:
    answers: dict[str, dict[str, int]] = {}  # of each question, and where each answer stands first
    for place in places:
        known = answers.setdefault(data.questions[place], {})
        earlier = known.setdefault(data.answers[place], place)
        if earlier == place and len(known) > 1:
            other = data.items[next(iter(known.values()))]
            yield Finding(place, f"{where(other)} says {shown(other.sample.reference or '', 40)!r}")


@among("near_duplicate", "nearly the same question as an earlier one that is kept: it teaches little that is new")
def _near_duplicate(data: Data, places: Sequence[int]) -> Iterator[Finding]:
    looked = set(places)
    left_out = set()
    for place in places:
        near = [one for one in data.near.get(place, ()) if one[0] in looked and one[0] not in left_out]
        if near:
            other, similarity = max(near, key=lambda one: (one[1], -one[0]))
            left_out.add(place)
            asked = shown(data.items[place].sample.instruction)
            yield Finding(place, f"{similarity:.2f} alike {where(data.items[other])}: {asked!r}")
