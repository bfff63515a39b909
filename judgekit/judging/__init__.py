"""Judging: what a judge is asked, how its reply becomes a verdict, and how it is tested."""

from judgekit.doors import open_door

__getattr__, __dir__, __all__ = open_door(__name__, __file__)
