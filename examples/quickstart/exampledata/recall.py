"""Cases of the recall tasks: every fact of the tables, in table order."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from exampledata.tables import Case, in_words, table, with_article


def _pairs(name: str) -> list[Case]:
    """Both directions of a symmetric relation."""
    return [Case.of(f"{x}/{y}", a=a, b=b) for x, y in table(name) for a, b in ((x, y), (y, x))]


def _mapping(name: str) -> list[Case]:
    return [Case.of(a, a=a, b=b) for a, b in table(name).items()]


def _comparisons() -> list[Case]:
    return [Case.of(a, a=a, b=b, c=c) for a, (b, c) in table("comparisons").items()]


def _capitals() -> list[Case]:
    return [Case.of(a, a=a, b=city, c=continent) for a, (city, continent) in table("capitals").items()]


def _elements() -> list[Case]:
    return [Case.of(a, a=a, b=symbol) for a, (symbol, _) in table("elements").items()]


def _young() -> list[Case]:
    return [
        Case.of(row["name"], a=row["name"], an_a=with_article(row["name"]), b=with_article(row["young"]))
        for row in table("animals")
        if "young" in row
    ]


def _animal_classes() -> list[Case]:
    return [
        Case.of(
            row["name"],
            a=row["name"],
            an_a=with_article(row["name"]),
            b=with_article(row["class"]),
            c="fish" if row["class"] == "fish" else row["class"] + "s",
        )
        for row in table("animals")
    ]


def _sides() -> list[Case]:
    return [Case.of(a, a=a, an_a=with_article(a), b=in_words(sides)) for a, sides in table("shapes").items()]


def _following(names: list[str]) -> list[Case]:
    return [Case.of(a, a=a, b=b) for a, b in zip(names, names[1:] + names[:1], strict=True)]


def _next_months() -> list[Case]:
    return _following([month for month, _ in table("calendar")["months"]])


def _next_days() -> list[Case]:
    return _following(table("calendar")["days"])


def _month_days() -> list[Case]:
    # February's length depends on the year, so it is asked nowhere.
    return [Case.of(a, a=a, b=str(days)) for a, days in table("calendar")["months"] if a != "February"]


def _occupations() -> list[Case]:
    return [Case.of(a, a=a, an_a=with_article(a), b=does) for a, does in table("occupations").items()]


def _classification() -> list[Case]:
    mass = {"sport", "color", "metal"}
    return [
        Case.of(a, a=a, x=a if group in mass else with_article(a), b=with_article(group), c=group)
        for group, words in table("categories").items()
        for a in words
    ]


def _units() -> list[Case]:
    return [
        Case.of(f"{n} {row['from']}", n=str(n), a=row["from"], m=str(n * row["factor"]), b=row["to"])
        for row in table("units")
        for n in (2, 3, 4, 5, 6, 10)
    ]


def _arithmetic() -> list[Case]:
    def case(n: int, operation: str, m: int, result: int) -> Case:
        low, high = sorted((n, m))
        return Case.of(f"{low} {operation} {high}", n=str(n), a=operation, m=str(m), b=str(result))

    digits = range(2, 10)
    sums = [case(n, "plus", m, n + m) for n in digits for m in digits]
    differences = [case(n, "minus", m, n - m) for n in range(3, 13) for m in digits if m < n]
    products = [case(n, "times", m, n * m) for n in range(2, 7) for m in range(2, 7)]
    return sums + differences + products


def _letters(position: int) -> list[Case]:
    return [Case.of(a, a=a, b=a[position], s="-".join(a)) for a in table("sentence_parts")["spelled"]]


RECALL: Mapping[str, Callable[[], list[Case]]] = {
    "antonym": lambda: _pairs("antonyms"),
    "synonym": lambda: _pairs("synonyms"),
    "plural": lambda: _mapping("plurals"),
    "past_tense": lambda: _mapping("past_tenses"),
    "comparative": _comparisons,
    "superlative": _comparisons,
    "capital": _capitals,
    "element": _elements,
    "young": _young,
    "animal_class": _animal_classes,
    "sides": _sides,
    "next_month": _next_months,
    "month_days": _month_days,
    "next_day": _next_days,
    "occupation": _occupations,
    "classification": _classification,
    "spelling": lambda: _mapping("spelling"),
    "units": _units,
    "arithmetic": _arithmetic,
    "first_letter": lambda: _letters(0),
    "last_letter": lambda: _letters(-1),
}
