"""Every item about words and sentences is true: undone or recomputed by rules that the generator does not use."""

import re
from collections.abc import Callable
from difflib import SequenceMatcher
from typing import Any

from tables import each

OfTask = Callable[[str], list[tuple[dict[str, str], str]]]
Table = Callable[[str], Any]

IRREGULAR_PLURALS = """mouse mice, child children, man men, woman women, tooth teeth, foot feet, goose geese, ox oxen,
person people, sheep sheep, deer deer, leaf leaves, knife knives, wolf wolves, wife wives, life lives, half halves,
shelf shelves, loaf loaves, thief thieves, calf calves, hero heroes, potato potatoes, tomato tomatoes, echo echoes"""

IRREGULAR_PASTS = """eat ate, go went, see saw, run ran, take took, give gave, come came, make made, write wrote,
drive drove, speak spoke, break broke, buy bought, bring brought, think thought, catch caught, teach taught, sell
sold, tell told, find found, fly flew, grow grew, know knew, throw threw, draw drew, swim swam, sing sang, drink
drank, begin began, ring rang, sit sat, stand stood, sleep slept, keep kept, feel felt, leave left, meet met, lose
lost, send sent, build built, spend spent, win won, hold held, fall fell, choose chose, wear wore, ride rode, rise
rose, hide hid, steal stole"""

PARTICIPLES = {
    "wrote": "written",
    "broke": "broken",
    "ate": "eaten",
    "took": "taken",
    "drew": "drawn",
    "chose": "chosen",
}

CORRECT_SPELLINGS = """accommodate achieve address argument beautiful because beginning believe business calendar
cemetery chocolate colleague coming committee definitely different disappear disappoint embarrass environment
existence familiar February finally foreign forty friend government grammar guarantee happened independent interesting
knowledge language length library maintenance misspell necessary noticeable occasion occurred opportunity piece
possession preferred probably really receive recommend remember restaurant rhythm schedule sentence separate similar
sincerely speech strength successful surprise temperature their tomorrow tongue truly until usually vegetable
Wednesday weird wherever writing yield"""

NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def key(text):
    return dict(pair.split() for pair in text.split(","))


def plural(noun):
    if re.search(r"(s|x|ch|sh)$", noun):
        return noun + "es"
    return noun[:-1] + "ies" if re.search(r"[^aeiou]y$", noun) else noun + "s"


def doubled(word):
    """A one-syllable word that ends in consonant, vowel, consonant takes its last letter twice before a suffix."""
    return word + word[-1] if re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]", word) else word


def with_suffix(word, suffix):
    if word.endswith("e"):
        return word + suffix[1:]
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "i" + suffix
    return doubled(word) + suffix


def changed(before, after):
    """The words of the two sentences that the other does not have in that place."""
    left, right = before.rstrip(".").split(), after.rstrip(".").split()
    old: list[str] = []
    new: list[str] = []
    for tag, i, j, k, m in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag != "equal":
            old += left[i:j]
            new += right[k:m]
    return old, new


def lowered(subject):
    return subject.replace("The ", "the ", 1)


@each(("antonym", "antonyms"), ("synonym", "synonyms"))
def test_word_pairs_have_one_answer(task, name, of_task, table):
    words = [word for pair in table(name) for word in pair]
    assert len(set(words)) == len(words), "a word in two pairs has two answers"
    pairs = {frozenset(pair) for pair in table(name)}
    for slots, output in of_task(task):
        assert frozenset((slots["a"], output)) in pairs
        assert slots["a"] != output


def test_words(table, of_task):
    assert not {frozenset(pair) for pair in table("antonyms")} & {frozenset(pair) for pair in table("synonyms")}
    irregular = key(IRREGULAR_PLURALS)
    for noun, many in [*table("plurals").items(), *((slots["a"], output) for slots, output in of_task("plural"))]:
        assert many == irregular.get(noun, plural(noun))
    irregular = key(IRREGULAR_PASTS)
    for verb, past in [
        *table("past_tenses").items(),
        *((slots["a"], output) for slots, output in of_task("past_tense")),
    ]:
        assert past == irregular.get(verb, verb + "ed" if verb == "open" else with_suffix(verb, "ed"))
    irregular = {"good": ["better", "best"], "bad": ["worse", "worst"]}
    for word, forms in table("comparisons").items():
        assert forms == irregular.get(word, [with_suffix(word, "er"), with_suffix(word, "est")])
    for place, task in enumerate(("comparative", "superlative")):
        for slots, output in of_task(task):
            assert output == table("comparisons")[slots["a"]][place]
    spelling = table("spelling")
    assert sorted(spelling.values(), key=str.casefold) == CORRECT_SPELLINGS.split()
    assert not spelling.keys() & set(spelling.values())
    for wrong, right in spelling.items():
        assert SequenceMatcher(None, wrong, right, autojunk=False).ratio() >= 0.75, (wrong, right)
    for slots, output in of_task("spelling"):
        assert spelling[slots["a"]] == output


def test_sentences(of_task):
    for slots, output in of_task("passive"):
        active = re.fullmatch(r"((?:The )?\w+) (\w+) the (\w+)\.", slots["a"])
        assert active, slots
        doer, verb, thing = active.groups()
        assert verb.endswith("ed") or verb in {*PARTICIPLES, "found", "sold"}
        assert output == f"The {thing} was {PARTICIPLES.get(verb, verb)} by {lowered(doer)}."
    for slots, output in of_task("negation"):
        undone = output.replace(" is not ", " is ").replace(" cannot ", " can ")
        undone = re.sub(r" does not (\w+) ", lambda match: f" {third_person(match[1])} ", undone)
        assert undone == slots["a"] != output
    for slots, output in of_task("question"):
        asked = re.fullmatch(r"(Is|Can|Does) ((?:the )?\w+) (.+)\?", output)
        assert asked, output
        helper, doer, rest = asked.groups()
        verb, _, thing = rest.partition(" ")
        said = f"{third_person(verb)} {thing}" if helper == "Does" else f"{helper.lower()} {rest}"
        assert slots["a"] == f"{doer[0].upper()}{doer[1:]} {said}."
    irregular = key(IRREGULAR_PASTS)
    for slots, output in of_task("past_sentence"):
        (now,), (then,) = changed(slots["a"], output)
        base = now if is_plural(slots["a"]) else next(v for v in VERBS if third_person(v) == now)
        assert then == irregular.get(base, base + "ed" if base == "travel" else with_suffix(base, "ed"))
    for slots, output in of_task("agreement"):
        (wrong,), (right,) = changed(slots["a"], output)
        assert {wrong, right} in [{verb, third_person(verb)} for verb in VERBS]
        assert (right in VERBS) == is_plural(output)
    for slots, output in of_task("article"):
        (wrong,), (right,) = changed(slots["a"], output)
        (noun,) = re.findall(rf"\b{right} (\w+)", output)
        assert {wrong, right} == {"a", "an"}
        assert right == ("an" if noun[0] in "aeiou" else "a")
        assert not noun.startswith(("uni", "hour", "eu", "one"))


def third_person(verb):
    return {"go": "goes"}.get(verb, plural(verb))


def is_plural(sentence):
    doer = sentence.split()[:2]
    return doer[0] in ("They", "We") or (doer[0] in ("The", "My") and doer[1].endswith("s"))


VERBS = ["walk", "run", "go", "drive", "hurry", "come", "travel", "ride", "rush", "return"]


def test_orders_and_letters(of_task):
    for slots, output in of_task("uppercase"):
        assert output == slots["a"].upper() != slots["a"]
    for slots, output in of_task("alphabetical"):
        assert output.split(", ") == sorted(slots["a"].split(", "))
        assert output != slots["a"]
    for slots, output in of_task("numeric_order"):
        numbers = [int(number) for number in slots["a"].split(", ")]
        assert [int(number) for number in output.split(", ")] == sorted(numbers) != numbers
    for slots, output in of_task("first_letter"):
        assert output == slots["a"][0]
    for slots, output in of_task("last_letter"):
        assert output == slots["a"][-1]
    for slots, output in of_task("word_count"):
        assert output == f"{NUMBERS[len(re.findall(r'[A-Za-z]+', slots['a']))]} words"
