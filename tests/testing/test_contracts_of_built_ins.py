"""What judgekit ships passes the contract tests that authors of plugins inherit."""

from __future__ import annotations
