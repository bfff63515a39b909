"""Every item that asks for a fact is true: recomputed where it can be, else held against a second key.

The keys below were written independently of the tables in `facts/`.
"""

import calendar
import re
from collections.abc import Callable
from typing import Any

OfTask = Callable[[str], list[tuple[dict[str, str], str]]]
Table = Callable[[str], Any]

CAPITALS = """Paris France;Berlin Germany;Rome Italy;Madrid Spain;Lisbon Portugal;Athens Greece;Vienna Austria;
Warsaw Poland;Budapest Hungary;Stockholm Sweden;Oslo Norway;Helsinki Finland;Copenhagen Denmark;Dublin Ireland;
Reykjavik Iceland;Brussels Belgium;Bucharest Romania;Sofia Bulgaria;Zagreb Croatia;Ljubljana Slovenia;Tokyo Japan;
Beijing China;New Delhi India;Bangkok Thailand;Hanoi Vietnam;Kathmandu Nepal;Seoul South Korea;Ulaanbaatar Mongolia;
Cairo Egypt;Nairobi Kenya;Accra Ghana;Rabat Morocco;Addis Ababa Ethiopia;Dakar Senegal;Tunis Tunisia;Kampala Uganda;
Ottawa Canada;Mexico City Mexico;Havana Cuba;Kingston Jamaica;Brasilia Brazil;Buenos Aires Argentina;Lima Peru;
Santiago Chile;Bogota Colombia;Quito Ecuador;Montevideo Uruguay;Caracas Venezuela"""

PERIODIC_TABLE = """H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir
Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U"""

# Symbols that come from another name than the English one.
OLD_NAMES = {"Na": "natrium", "K": "kalium", "Fe": "ferrum", "Cu": "cuprum", "Ag": "argentum", "Sn": "stannum"}
OLD_NAMES |= {"W": "wolframium", "Au": "aurum", "Hg": "hydrargyrum", "Pb": "plumbum"}

CLASSES = {
    "mammal": "dog cat cow horse sheep pig goat lion wolf deer kangaroo whale dolphin bat elephant rabbit",
    "bird": "duck goose chicken owl swan eagle penguin ostrich crow",
    "amphibian": "frog toad newt salamander",
    "reptile": "snake lizard turtle crocodile",
    "fish": "shark salmon trout tuna",
    "insect": "ant bee butterfly beetle mosquito",
    "arachnid": "spider scorpion",
}

YOUNG = "dog puppy, cat kitten, cow calf, horse foal, sheep lamb, pig piglet, goat kid, lion cub, deer fawn, "
YOUNG += "kangaroo joey, duck duckling, goose gosling, chicken chick, owl owlet, swan cygnet, eagle eaglet, "
YOUNG += "frog tadpole, butterfly caterpillar"

CORNERS = {"tri": 3, "penta": 5, "hexa": 6, "hepta": 7, "octa": 8, "nona": 9, "deca": 10, "dodeca": 12}
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]

SECONDS: dict[str, float] = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400, "weeks": 604800}
METERS: dict[str, float] = {"millimeters": 1e-3, "centimeters": 1e-2, "meters": 1, "kilometers": 1e3}
GRAMS: dict[str, float] = {"grams": 1, "kilograms": 1e3, "tonnes": 1e6}
INCHES: dict[str, float] = {"inches": 1, "feet": 12, "yards": 36}
OTHER: list[dict[str, float]] = [
    {"liters": 1000, "milliliters": 1},
    {"years": 12, "months": 1},
    {"dollars": 100, "cents": 1},
]


def bare(noun):
    """The noun without its article, which must be the right one for its first letter."""
    article, _, rest = noun.partition(" ")
    assert article == ("an" if rest[0] in "aeiou" else "a"), noun
    return rest


def test_facts_about_animals_symbols_and_work(of_task, table):
    key = CAPITALS.replace("\n", "").split(";")
    assert sorted(f"{city} {country}" for country, (city, _) in table("capitals").items()) == sorted(key)
    for slots, output in of_task("capital"):
        assert f"{output} {slots['a']}" in key
    elements = table("elements")
    for name, (symbol, number) in elements.items():
        assert PERIODIC_TABLE.split()[number - 1] == symbol
        known_as = OLD_NAMES.get(symbol, name)
        assert known_as[0] == symbol[0].lower()
        assert all(letter in known_as for letter in symbol.lower())
    for slots, output in of_task("element"):
        assert elements[slots["a"]][0] == output
    classes = {animal: kind for kind, animals in CLASSES.items() for animal in animals.split()}
    assert {row["name"]: row["class"] for row in table("animals")} == classes
    for slots, output in of_task("animal_class"):
        animal = bare(slots["an_a"]) if "an_a" in slots else slots["a"]
        assert classes[animal] == bare(output)
    young = dict(pair.split() for pair in YOUNG.split(", "))
    assert {row["name"]: row["young"] for row in table("animals") if "young" in row} == young
    for slots, output in of_task("young"):
        assert young[slots["a"]] == bare(output)
    legs = {"insect": {6}, "arachnid": {8}, "bird": {2}, "mammal": {4}, "amphibian": {4}, "reptile": {4}}
    for row in table("animals"):
        assert "legs" not in row or row["legs"] in legs[row["class"]], row
    sides = {f"{prefix}gon": count for prefix, count in CORNERS.items()}
    sides |= {"triangle": 3, "square": 4, "rectangle": 4, "rhombus": 4, "parallelogram": 4}
    assert table("shapes").items() <= sides.items()
    for slots, output in of_task("sides"):
        assert NUMBERS[sides[bare(slots["an_a"])]] == output
    occupations = table("occupations")
    assert len(set(occupations.values())) == len(occupations), "two jobs answer the same description"
    for slots, output in of_task("occupation"):
        assert occupations[bare(output)] == slots["b"]
    categories = table("categories")
    words = [word for members in categories.values() for word in members]
    assert len(set(words)) == len(words), "a word in two categories has two answers"
    for slots, output in of_task("classification"):
        word = slots["a"] if "a" in slots else re.sub(r"^an? ", "", slots["x"])
        assert word in categories[bare(output)]
    assert set(categories["metal"]) <= set(table("elements"))
    assert not {word for members in categories.values() for word in members} & {row["name"] for row in table("animals")}


def test_calendar_units_and_arithmetic(of_task):
    months, days = list(calendar.month_name)[1:], list(calendar.day_name)
    for slots, output in of_task("next_month"):
        assert output == months[(months.index(slots["a"]) + 1) % 12]
    for slots, output in of_task("next_day"):
        assert output == days[(days.index(slots["a"]) + 1) % 7]
    for slots, output in of_task("month_days"):
        lengths = {calendar.monthrange(year, months.index(slots["a"]) + 1)[1] for year in (2023, 2024)}
        assert lengths == {int(output)}
    systems = [SECONDS, METERS, GRAMS, INCHES, *OTHER]
    for slots, output in of_task("units"):
        amount, unit = output.split()
        assert unit == slots["b"]
        (system,) = [each for each in systems if slots["a"] in each and unit in each]
        assert abs(int(slots["n"]) * system[slots["a"]] - int(amount) * system[unit]) < 1e-9 * int(amount)
    for slots, output in of_task("arithmetic"):
        n, m, operation = int(slots["n"]), int(slots["m"]), slots["a"]
        assert int(output) == {"plus": n + m, "minus": n - m, "times": n * m}[operation]
