"""Calls: how requests reach a server or a model, are held back, tried again, paid for, and found again."""

from typing import Self


class Closing:
    """What is closed when its `with` block ends."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
