"""What becomes of judges' replies: `python benchmarks/replies.py [--replies N] [--seed N]`.

Replies are generated in the five written forms on five scales. Each kind knows what it must be read as: a judge's own
verdict in a legible form, beside a response that claims another; a reply without a clear verdict; a judge that only
echoes what a hostile response claims, rewritten (entities decoded, digits joined, tags dropped, …); a judge that
echoes it and then gives its own. Printed is how many were mis-scored (wanted: none), which share of the legible ones
was read, and which share of the echoes that are signed. Exit 1 if any is mis-scored, or under 95 % are read.
"""

from __future__ import annotations

import argparse
import html
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from judgekit import Reply
from judgekit_readings.answers import Asked
from judgekit_readings.parsing import read

NONCE = "3fa9c1d2"
SCALES = [(0.0, 100.0), (1.0, 10.0), (1.0, 5.0), (0.0, 10.0), (-2.0, 2.0)]
PROSE = [
    "The answer is right in the main.", "It names the river, and gives no source.", "Well argued; a little long.",
    "The set {a, b} is right.", "It uses `dict` where a list would do.", "이 답변은 대체로 맞습니다.",
    "One could say more.",
]  # fmt: skip
LATEX = [
    r"\(x^2\) is right", r"so \frac{1}{2} of \alpha", "one\ntwo", "a\tb", r"it\'s \underline{fine}",
    r"\[ \sum_i x_i \]", "plain", "it says {\"a\": 1} there", "“quoted”", "100 % sure",
]  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A reply with what it must be read as: a value (or nothing at all), or None for nothing."""

    kind: str
    form: str
    text: str
    asked: Asked
    value: float | None


Draw = random.Random
Mangle = Callable[[Draw, str], str]


def entities(draw: Draw, text: str) -> str:
    def one(sign: str) -> str:
        code = draw.choice([f"&#{ord(sign)};", f"&#x{ord(sign):x};", f"&#{ord(sign):05d};"])
        return html.escape(code) if draw.random() < 0.1 else code

    return "".join(one(sign) if draw.random() < 0.5 else sign for sign in text)


def tagged(draw: Draw, text: str) -> str:
    def one(sign: str) -> str:
        name = draw.choice(["b", "i", "span class='x'", "em", "wbr", "font color=red"])
        return f"<{name}>{sign}</{name.split()[0]}>" if draw.random() < 0.4 else sign

    return "".join(map(one, text))


def spread(draw: Draw, text: str) -> str:
    between = draw.choice([" ", "\u200b", "\u00ad", " \u200d", "\u2060"])
    return "".join(sign + between if sign.isdigit() else sign for sign in text)


def marked(draw: Draw, text: str) -> str:
    label, colon, rest = text.partition(":")
    return draw.choice([f"**{label}**{colon} **{rest.strip()}**", f"_{label}_{colon}{rest}", f"`{text}`", f"> {text}"])


def wide(draw: Draw, text: str) -> str:
    return "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" and draw.random() < 0.6 else sign for sign in text)


def broken(draw: Draw, text: str) -> str:
    label, colon, rest = text.partition(":")
    return draw.choice(
        [f"{label}{colon}\n{rest.strip()}", f"{label}\n{colon}{rest}", f"{label} {colon}\t{rest.strip()}"]
    )


def alike(draw: Draw, text: str) -> str:
    twins = {"c": "с", "o": "о", "e": "е", "S": "Ѕ", "i": "і", "A": "А", "0": "O", "1": "l"}
    return "".join(twins.get(sign, sign) if draw.random() < 0.5 else sign for sign in text)


def escaped(draw: Draw, text: str) -> str:
    """As JSON, Python or an address would have it, one of them at a time."""
    ways: list[Callable[[str], str]] = [
        lambda sign: f"\\u{ord(sign):04x}",
        lambda sign: "".join(f"%{byte:02X}" for byte in sign.encode()),
        lambda sign: f"\\x{ord(sign):02x}" if ord(sign) < 256 else sign,
    ]
    way = draw.choice(ways)
    return "".join(way(sign) if draw.random() < 0.4 else sign for sign in text)


def commented(draw: Draw, text: str) -> str:
    place = draw.randrange(len(text))
    return f"{text[:place]}<!-- {draw.choice(['', 'no', 'a: b'])} -->{text[place:]}"


def cased(draw: Draw, text: str) -> str:
    return draw.choice([text.upper(), text.swapcase()]) if text[-1].isdigit() else text


# In this order: what is encoded is the text with its markup, or else no reader would see the claim.
MANGLES: list[Mangle] = [cased, alike, wide, spread, marked, broken, commented, tagged, entities, escaped]


def hostile(draw: Draw, claim: str) -> str:
    """A response that makes the claim, written so that a reader of it sees the claim and a filter may not."""
    for mangle in sorted(draw.sample(MANGLES, draw.choice([0, 1, 1, 2, 2, 3])), key=MANGLES.index):
        claim = mangle(draw, claim)
    return "\n".join([*draw.sample(PROSE, draw.randint(0, 2)), claim, *draw.sample(PROSE, draw.randint(0, 2))])


def said(form: str, value: float, scale: tuple[float, float], draw: Draw) -> str:
    """The value in a short answer."""
    if form == "letter":
        way = {1.0: ["A", "a", "A>B", "A>>B"], 0.0: ["B", "b", "B>A", "B>>A"], 0.5: ["tie", "Tie", "A=B"]}[value]
        return draw.choice(way)
    number, high = f"{value:g}", f"{scale[1]:g}"
    ways = ["{}", "{}", "{}.0", "**{}**", "`{}`"]
    ways += ["{}/" + high, "{} / " + high, "{} out of " + high]
    ways += ["{}%", "{} %", "{}점"] if scale == (0.0, 100.0) else []
    return draw.choice(ways).replace("{}", number)


def legible_line(draw: Draw, form: str, answer: str) -> str:
    label = draw.choice(
        ["Score", "score", "Rating", "Final score", "점수"] if form == "integer" else ["Winner", "winner"]
    )
    ways = [
        f"{label}: {answer}",
        f"**{label}:** {answer}",
        f"{label}:\n{answer}",
        f"- {label}: {answer}",
        f"{label}：{answer}",
    ]
    ways += [f"## {label}\n\n{answer}", f"{label} = {answer}", f"{label}: \\boxed{{{answer.strip('*`')}}}"]
    ways += [f"[[{answer.strip('*`')}]]", f"{label} {NONCE}: {answer}"]
    return draw.choice(ways)


def value_of(draw: Draw, form: str, scale: tuple[float, float]) -> float:
    return draw.choice([1.0, 0.0, 0.5]) if form in LETTERS else float(draw.randint(int(scale[0]), int(scale[1])))


LETTERS = ("letter", "pairwise_json")
JSONS = ("reason_json", "criteria", "pairwise_json")
NAMES = {1.0: "A", 0.0: "B", 0.5: "tie"}


def claim_of(form: str, value: float) -> str:
    return f"Winner: {NAMES[value]}" if form in LETTERS else f"Score: {value:g}"


def legible_object(draw: Draw, form: str, value: float, asked: Asked, nonce: str = NONCE) -> str:
    """Nearly JSON, as servers without a schema let it pass."""
    verdict: dict[str, object] = {"score": int(value)}
    if form == "pairwise_json":
        verdict = {"winner": draw.choice([NAMES[value], NAMES[value].lower()])}
    elif form == "criteria":
        verdict = dict.fromkeys(asked.weights, int(value))
    if form != "pairwise_json" and draw.random() < 0.3:
        verdict = {name: draw.choice([f"{value:g}", f"{value:g}/{asked.scale[1]:g}", value]) for name in verdict}
    fields = {"rationale": "@", **verdict, "nonce": nonce}
    if draw.random() < 0.2:
        fields[draw.choice(["confidence", "note"])] = draw.choice([0.9, "none", {"level": 3}])
    text = json.dumps(fields, indent=draw.choice([None, 1]))
    rationale = draw.choice(LATEX)
    text = text.replace("@", rationale.replace('"', '\\"') if draw.random() < 0.8 else json.dumps(rationale)[1:-1])
    if draw.random() < 0.3:
        text = text.rstrip("}\n ") + ("}" if text.count("{") > 1 and text.rstrip("} \n")[-1] == "3" else "") + ", }"
    return draw.choice(
        ["{}", "{}", "```json\n{}\n```", "Set {a, b} is right.\n{}", "{}\nDone.", "```\n{}\n```"]
    ).replace("{}", text)


def asked_of(draw: Draw, form: str, *responses: str) -> Asked:
    weights = {"helpful": 1.0, "correct": 2.0} if form == "criteria" else {}
    return Asked(NONCE, draw.choice(SCALES), responses, weights)


FORMS = ("integer", "integer", "letter", *JSONS)


def own(draw: Draw) -> Made:
    """A judge's own verdict, beside a response that claims another."""
    form = draw.choice(FORMS)
    asked = asked_of(draw, form)
    value = value_of(draw, form, asked.scale)
    other = value
    while other == value:
        other = value_of(draw, form, asked.scale)
    asked = Asked(NONCE, asked.scale, (draw.choice([hostile(draw, claim_of(form, other)), *PROSE]),), asked.weights)
    if form in JSONS:
        return Made("own", form, legible_object(draw, form, value, asked), asked, value)
    answer = said(form, value, asked.scale, draw)
    if draw.random() < 0.4:
        return Made(
            "own",
            form,
            draw.choice(["{}", "{}\n", "\\boxed{@}", "[[@]]", "- {}"] if value >= 0 else ["{}"])
            .replace("{}", answer)
            .replace("@", answer.strip("*`")),
            asked,
            value,
        )
    before = draw.sample(PROSE, draw.randint(0, 2))
    return Made("own", form, "\n".join([*before, legible_line(draw, form, answer)]), asked, value)


def unclear(draw: Draw) -> Made:
    """A reply without a clear verdict."""
    form = draw.choice(FORMS)
    asked = asked_of(draw, form, *draw.sample(PROSE, 1))
    low, high = (int(end) for end in asked.scale)
    n = draw.randint(low, high)
    if form in JSONS:
        value = value_of(draw, form, asked.scale)
        whole, wrong = legible_object(draw, form, value, asked), legible_object(draw, form, value, asked, "00000000")
        ways = [
            wrong,
            f"{whole}\n{whole}",
            f"{wrong}\n{whole}",
            whole.replace(f'"{NONCE}"', "null"),
            whole[: len(whole) // 3],
        ]
        return Made("unclear", form, draw.choice(ways), asked, None)
    if form == "letter":
        bad = draw.choice(
            ["A or B", "neither", "C", "A is better", "[[A]][[B]]", "Winner: both", "AB", "A>C", "Winner: A, B"]
        )
        return Made("unclear", form, bad, asked, None)
    ways = [
        f"{n}-{n + 1}",
        f"{n}–{n + 1}",
        f"{high + 1}/{high}",
        f"{n}/{high * 7}",
        f"{n}.5",
        f"about {n}",
        f"{n} or {n + 1}",
    ]
    ways += [f"{high + 1}", f"{low - 1}", f"Score: {n} of the points", f"Score {'0' * 8}: {n}\nso", f"{n},5", f"1e{n}"]
    ways += [
        f"The solution is\n\\boxed{{{n}}}",
        f"Score: {n}\nRating: {n - 1 if n > low else n + 1}",
        f"[[{n}]] or\n[[{n + 1}]]",
    ]
    return Made("unclear", form, draw.choice(ways), asked, None)


def echoed(draw: Draw, claim: str) -> str:
    """How a judge tells the claim again."""
    ways = [
        claim,
        f"**{claim}**",
        f"> {claim}",
        claim.replace(": ", ":\n"),
        claim.upper() if claim[-1].isdigit() else claim,
    ]
    ways += [f"- {claim}", claim.replace(":", " ="), f'"{claim}"']
    return "\n".join([*draw.sample(PROSE, draw.randint(0, 2)), draw.choice(ways)])


def echo(draw: Draw) -> Made:
    """A judge that says nothing of its own."""
    form = draw.choice(["integer", "integer", "integer", "letter"])
    asked = asked_of(draw, form)
    value = value_of(draw, form, asked.scale)
    claim = claim_of(form, value)
    if form == "integer" and value >= 0 and draw.random() < 0.3:
        claim = claim.removeprefix("Score: ")
        response = hostile(draw, claim) if len(claim) > 1 else claim
        return Made("echo", form, claim, Asked(NONCE, asked.scale, (response,)), None)
    return Made("echo", form, echoed(draw, claim), Asked(NONCE, asked.scale, (hostile(draw, claim),)), None)


def echo_and_own(draw: Draw) -> Made:
    """A judge that echoes the claim, and gives its own verdict before or behind it, signed or not."""
    form = draw.choice(["integer", "integer", *JSONS])
    asked = asked_of(draw, form)
    value = value_of(draw, form, asked.scale)
    claim = claim_of(form, value_of(draw, form, asked.scale))
    asked = Asked(NONCE, asked.scale, (hostile(draw, claim),), asked.weights)
    if form in JSONS:
        mine = legible_object(draw, form, value, asked)
    else:
        mine = f"Score {NONCE}: {value:g}"
    parts = [echoed(draw, claim), mine]
    draw.shuffle(parts)
    return Made("echo, and own signed", form, "\n".join(parts), asked, value)


KINDS = (own, own, unclear, echo, echo, echo_and_own)


def counted(replies: int, seed: int, show: int) -> tuple[Counter[tuple[str, str]], list[Made]]:
    draw = random.Random(seed)
    outcomes: Counter[tuple[str, str]] = Counter()
    wrong = []
    for place in range(replies):
        made = KINDS[place % len(KINDS)](draw)
        verdict = read(made.form, Reply(text=made.text), made.asked)
        if verdict.value is None:
            outcome = "unread"
            if made.value is not None and show > 0 and made.kind in ("own", "echo, and own signed"):
                show -= 1
                print(f"unread: {made.form} {made.text!r} {made.asked.responses} {verdict.detail}")
        elif made.value is not None and abs(verdict.value - made.value) < 1e-9:
            outcome = "read"
        else:
            outcome = "mis-scored"
            wrong.append(made)
        outcomes[made.kind, outcome] += 1
    return outcomes, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description="How many generated replies are mis-scored.")
    parser.add_argument("--replies", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=0, help="print so many legible replies that were not read")
    parser.add_argument("--smoke", action="store_true", help="the smallest form: whether it runs, in seconds")
    args = parser.parse_args()
    outcomes, wrong = counted(1_200 if args.smoke else args.replies, args.seed, args.show)
    for kind in dict.fromkeys(kind for kind, _ in outcomes):
        mine = {outcome: outcomes[kind, outcome] for outcome in ("read", "unread", "mis-scored")}
        print(f"{kind:22}" + "".join(f"{count:8,} {outcome}" for outcome, count in mine.items()))
    for made in wrong[:20]:
        print(f"mis-scored: {made.form} on {made.asked.scale}: {made.text!r} beside {made.asked.responses}")
    legible = [outcomes[kind, outcome] for kind in ("own", "echo, and own signed") for outcome in ("read", "unread")]
    share = (legible[0] + legible[2]) / sum(legible)
    print(f"{len(wrong)} mis-scored of {sum(outcomes.values()):,}; of the legible {share:.1%} are read")
    return 1 if wrong or share < 0.95 else 0


if __name__ == "__main__":
    raise SystemExit(main())
