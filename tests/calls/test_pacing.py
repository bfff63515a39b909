"""Paces by place: parts that ask one server with one key share one, and the strictest limits hold."""

from judgekit.calls.pacing import Lane, Paces


def test_one_place_has_one_pace_and_another_has_its_own() -> None:
    paces = Paces()
    first, second, third = (Lane(paces, 8) for _ in range(3))
    shared = paces.at(("http://a", "KEY"), first)
    assert paces.at(("http://a", "KEY"), second) is shared is second.pace
    assert paces.at(("http://a", "OTHER"), third) is third.pace is not shared
    assert paces.at(("http://a", "KEY"), first) is shared
