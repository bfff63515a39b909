"""What a judge would have said, with which probability. Pure.

A judge that is read by probabilities is asked for one of a few short answers: a number of the scale, Yes or No, A or
B. How likely each was comes from the alternatives at its generated tokens, or from the log-likelihoods of the answers
as given continuations. Together they hold the *captured mass*; the rest went to something that was not asked for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from judgekit.judging.parsing import FRAME, Unreadable
from judgekit.records import Continuation, Token
from judgekit.secrets import shortened

_AROUND = FRAME + "\r\n"
_NOISE = 1e-9  # less than this is left over from rounding
_SUM = 1.01  # probabilities may add up to 1, and a little for rounding


@dataclass
class Spread:
    """The probability of each answer, as far as it is known."""

    shares: dict[str, float] = field(default_factory=dict)

    @property
    def mass(self) -> float:
        """The captured mass, 0 to 1."""
        return min(math.fsum(self.shares.values()), 1.0)

    def add(self, answer: str, share: float) -> None:
        if share > _NOISE:
            self.shares[answer] = self.shares.get(answer, 0.0) + share


def spread_of_tokens(
    tokens: Sequence[Token], answers: Collection[str], fold: Callable[[str], str] = str, begin: int = 0
) -> Spread:
    """How likely each of `answers` was as the whole answer, from the alternatives at the generated tokens.

    `fold` makes spellings equal (case); `begin`: the characters before the answer. The walk follows the generated
    tokens, through white space and Markdown marks, as long as they are the beginning of an answer. An alternative
    beside the way counts where it is an answer by itself. Where it could also be the beginning of a longer one (`1` of
    `10`), it counts only if the longer one stands beside it as one token; otherwise its share is unknown, and not
    captured. Raises Unreadable for probabilities that are none, and where the text goes on as another number (`4.5`,
    `4 out of 10`) or names a second answer (`A or B`).
    """
    known = {fold(answer): answer for answer in answers}
    spread, share, said = Spread(), 1.0, ""
    starts = accumulate((len(token.text) for token in tokens), initial=0)
    for position in range(sum(start < begin for start in starts), len(tokens)):
        token, choices = tokens[position], _choices(tokens[position])
        for choice, chance in choices.items():
            if choice != token.text and (answer := _beside(known, said, fold(choice), set(map(fold, choices)))):
                spread.add(known[answer], share * chance)
        share *= choices[token.text]
        if not said and not token.text.strip(_AROUND):
            continue  # white space or a mark before the answer
        piece = fold(token.text if said else token.text.lstrip(_AROUND))
        if said in known and not piece[:1].isalnum():
            break  # the answer ended before this token
        said += piece
        answer = said.rstrip(_AROUND + ".")
        if answer in known:
            spread.add(known[answer], share * _ending(known, answer, said, tokens[position + 1 :], fold))
        if answer != said or not any(other.startswith(said) and other != said for other in known):
            break
    return spread


def spread_of_continuations(continuations: Sequence[Continuation], answers: Sequence[str]) -> Spread:
    """How likely each of `answers` is, from the log-likelihoods of them all and, in the same order, of them all after
    a space. No answer may be the beginning of another. Raises Unreadable for log-likelihoods of nothing."""
    if any(not continuation.tokens for continuation in continuations):
        raise Unreadable("the backend gave no log-likelihood")
    spread = Spread()
    for answer, continuation in zip([*answers, *answers], continuations, strict=True):
        spread.add(answer, _probability(continuation.loglikelihood))
    if math.fsum(spread.shares.values()) > _SUM:
        raise Unreadable("the probabilities of the answers add up to more than 1")
    return spread


def _choices(token: Token) -> dict[str, float]:
    """The probability of each text that could have stood at the token's place.

    Servers may write half a character in one way as the token and in another as the alternative: the alternative that
    has the token's probability, where none has its text, is the token.
    """
    top, chosen = list(token.top), (token.text, token.logprob)
    if token.text not in (text for text, _ in top):
        same = next((place for place, (_, logprob) in enumerate(top) if abs(logprob - token.logprob) < _NOISE), None)
        top[same : None if same is None else same + 1] = [chosen] if same is not None else [*top, chosen]
    choices: dict[str, float] = {}
    for text, logprob in top:
        choices[text] = choices.get(text, 0.0) + _probability(logprob)
    if math.fsum(choices.values()) > _SUM:
        raise Unreadable("the probabilities of the alternatives add up to more than 1")
    return choices


def _probability(logprob: float) -> float:
    if logprob > math.log(_SUM):
        raise Unreadable(f"a log-probability above 0: {logprob:g}")
    return math.exp(min(logprob, 0.0))


def _beside(known: Collection[str], said: str, choice: str, neighbours: Collection[str]) -> str:
    """The answer that an alternative beside the way is by itself; empty where that cannot be said."""
    if said and not choice[:1].isalnum():
        return ""  # it ends what was said: counted there
    answer = (said + (choice if said else choice.lstrip(_AROUND))).rstrip(_AROUND + ".")
    longer = {other for other in known if other.startswith(answer) and other != answer}
    whole = {said + (other if said else other.lstrip(_AROUND)) for other in neighbours}
    return answer if answer in known and (not longer or longer & whole) else ""


_GOES_ON = re.compile(r"\s*[.,][0-9]|\s*[/–-]\s*[0-9]|\s*%")  # a number: 4.5, 4/10, 4-5, 4%
_OUT_OF = re.compile(r"\s+out of\s+([0-9]+)")
_BESIDE = re.compile(r"\s*(?:[/–-]|\b(?:or|and|to)\b)\s*(\w+)", re.IGNORECASE)  # A or B


def _ending(known: Collection[str], answer: str, said: str, rest: Sequence[Token], fold: Callable[[str], str]) -> float:
    """How likely the answer on the way ends here: what goes on as a word or a number is another one."""
    following = said[len(answer) :] + "".join(token.text for token in rest)
    top, other = _OUT_OF.match(following), _BESIDE.match(fold(following))
    goes_on = answer[-1].isdigit() and (_GOES_ON.match(following) or (top and top[1] not in known))
    if goes_on or (other and other[1] in known):
        raise Unreadable(f"not one of the answers asked for: {shortened(answer + following, 40)}")
    # Servers do not list the end of the reply among the alternatives: a reply that ends here counts whole.
    choices = _choices(rest[0]) if rest and answer == said else {}
    going = {choice: chance for choice, chance in choices.items() if fold(choice)[:1].isalnum()}
    return max(0.0, 1.0 - math.fsum(going.values()))
