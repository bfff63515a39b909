"""Cases of the pattern tasks: sentences put together from `facts/sentence_parts.json`, in an order drawn from `rng`.

Each function returns more cases than the instructions need; the corpus shows the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from random import Random

from exampledata.tables import Case, capital, in_words, table, with_article

LIMIT = 240  # cases of one task; bounds the size of the corpus


def _parts(name: str) -> list[str]:
    return list(table("sentence_parts")[name])


def _draw(rng: Random, pairs: list[tuple[str, str]]) -> list[Case]:
    unique = dict(pairs)
    chosen = rng.sample(sorted(unique), min(LIMIT, len(unique)))
    return [Case.of(a, a=a, b=unique[a]) for a in chosen]


def _doers() -> list[str]:
    return [capital(doer) for doer in _parts("people")] + _parts("names")


def _in_sentence(doer: str) -> str:
    return doer.replace("The ", "the ", 1)


def passive(rng: Random) -> list[Case]:
    pairs = [
        (f"{doer} {verb['past']} the {thing}.", f"The {thing} was {verb['participle']} by {_in_sentence(doer)}.")
        for verb in table("sentence_parts")["transitive"]
        for thing in verb["objects"]
        for doer in _doers()
    ]
    return _draw(rng, pairs)


def negation(rng: Random) -> list[Case]:
    pairs = [(f"{doer} is {state}.", f"{doer} is not {state}.") for doer, state in product(_doers(), _conditions())]
    pairs += [
        (f"{doer} can {ability}.", f"{doer} cannot {ability}.")
        for doer, ability in product(_doers(), _parts("abilities"))
    ]
    pairs += [
        (f"{doer} {third} {thing}.", f"{doer} does not {base} {thing}.")
        for doer, (third, base), thing in product(_doers(), table("sentence_parts")["likings"], _parts("things"))
    ]
    return _draw(rng, pairs)


def question(rng: Random) -> list[Case]:
    pairs = [
        (f"{doer} is {state}.", f"Is {_in_sentence(doer)} {state}?") for doer, state in product(_doers(), _conditions())
    ]
    pairs += [
        (f"{doer} can {ability}.", f"Can {_in_sentence(doer)} {ability}?")
        for doer, ability in product(_doers(), _parts("abilities"))
    ]
    pairs += [
        (f"{doer} {third} {thing}.", f"Does {_in_sentence(doer)} {base} {thing}?")
        for doer, (third, base), thing in product(_doers(), table("sentence_parts")["likings"], _parts("things"))
    ]
    return _draw(rng, pairs)


def _conditions() -> list[str]:
    return _parts("states") + _parts("places")


def past_sentence(rng: Random) -> list[Case]:
    return _draw(
        rng,
        [
            (f"{capital(doer)} {verb[form]} {where}.", f"{capital(doer)} {verb[2]} {where}.")
            for doers, form in (("singular", 1), ("plural", 0))
            for doer, verb, where in product(
                _parts(doers), table("sentence_parts")["movements"], _parts("destinations")
            )
        ],
    )


def agreement(rng: Random) -> list[Case]:
    return _draw(
        rng,
        [
            (f"{capital(doer)} {verb[1 - form]} {where}.", f"{capital(doer)} {verb[form]} {where}.")
            for doers, form in (("singular", 1), ("plural", 0))
            for doer, verb, where in product(
                _parts(doers), table("sentence_parts")["movements"], _parts("destinations")
            )
        ],
    )


def article(rng: Random) -> list[Case]:
    nouns = [(noun, f"an {noun}") for noun in _parts("a_nouns")] + [(noun, f"a {noun}") for noun in _parts("an_nouns")]
    return _draw(
        rng,
        [
            (frame.format(wrong), frame.format(with_article(noun)))
            for (noun, wrong), frame in product(nouns, _parts("article_frames"))
        ],
    )


def uppercase(rng: Random) -> list[Case]:
    phrases = [
        f"{start}{adjective} {noun}"
        for start, adjective, noun in product(("", "the ", "my "), _parts("adjectives"), _parts("nouns"))
    ]
    return _draw(rng, [(phrase, phrase.upper()) for phrase in phrases])


def alphabetical(rng: Random) -> list[Case]:
    draws = [rng.sample(_parts("sortable"), 3) for _ in range(2 * LIMIT)]
    return _draw(rng, [(", ".join(words), ", ".join(sorted(words))) for words in draws if words != sorted(words)])


def numeric_order(rng: Random) -> list[Case]:
    draws = [rng.sample(range(1, 60), 3) for _ in range(2 * LIMIT)]
    return _draw(
        rng,
        [
            (", ".join(map(str, numbers)), ", ".join(map(str, sorted(numbers))))
            for numbers in draws
            if numbers != sorted(numbers)
        ],
    )


def word_count(rng: Random) -> list[Case]:
    adverbs = ["", *(f" {adverb}" for adverb in _parts("adverbs"))]
    places = ["", *(f" {place}" for place in _parts("places"))]
    sentences = [
        f"{doer} {action}{adverb}{place}."
        for doer, action, adverb, place in product(_doers(), _parts("actions"), adverbs, places)
    ]
    return _draw(rng, [(sentence, in_words(len(sentence.split()))) for sentence in sentences])


PATTERNS: Mapping[str, Callable[[Random], list[Case]]] = {
    "passive": passive,
    "negation": negation,
    "question": question,
    "past_sentence": past_sentence,
    "agreement": agreement,
    "article": article,
    "uppercase": uppercase,
    "alphabetical": alphabetical,
    "numeric_order": numeric_order,
    "word_count": word_count,
}
