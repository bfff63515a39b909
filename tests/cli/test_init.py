"""`judgekit init`: configs that load, and nothing overwritten."""

import pytest

from judgekit.cli import execute


@pytest.mark.parametrize("template", ["score", "pairwise", "mmlu", "finetune"])
def test_init_writes_a_config_that_loads(here, template, capsys):
    from judgekit.config.load import load

    assert execute(["init", "new", "--template", template]) == 0
    spec = load(here / "new" / "judgekit.yaml")
    assert spec.models
    capsys.readouterr()
    assert execute(["init", "new", "--template", template]) == 2
    assert "is already there; nothing was written" in capsys.readouterr().err
