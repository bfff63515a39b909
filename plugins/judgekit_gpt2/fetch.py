"""The command `judgekit gpt2 fetch`: the four published GPT-2s, by address and sha256.

The files are those that the model's publisher keeps on the Hugging Face hub. They are fixed by their sha256, so that it
does not matter which server, mirror or person they come from. `config.json` is written here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import judgekit
import judgekit.data
from judgekit_gpt2 import checkpoint
from judgekit_gpt2.config import PRESETS, to_hub

Progress = Callable[[str, int, int], None]  # a file's name, its bytes that are here, and all its bytes (0: unknown)


@dataclass(frozen=True)
class Release:
    """A revision of the hub's repository openai-community/NAME, and the sha256 of its `model.safetensors`."""

    revision: str
    weights: str


RELEASES = {
    "gpt2": Release(
        "607a30d783dfa663caf39e06633721c8d4cfcd7e", "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707"
    ),
    "gpt2-medium": Release(
        "6dcaa7a952f72f9298047fd5137cd6e4f05f41da", "fc5a354a19255ad494f3d71549390baca1ccf61d1d822b9408971705c687c9cd"
    ),
    "gpt2-large": Release(
        "32b71b12589c2f8d625668d2335a01cac3249519", "5f47f3e12f91cd33b662ce7e433b6150ad5512b5884a2cee961b50e9c3bbebce"
    ),
    "gpt2-xl": Release(
        "15ea56dee5df4983c59b2538573817e1667135e2", "0f8b28eb05a8075f48b61b6f35332978c74fc7763fa9fb4051a1c30511736a6a"
    ),
}
# The vocabulary is one for all four.
VOCABULARY_FILES = {
    checkpoint.VOCABULARY: "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    checkpoint.MERGES: "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}


def fetch(name: str, into: Path, server: str, progress: Progress) -> None:
    """Bring the published model `name` into a folder; what is there already, and right, is not fetched again.

    `server` is the hub or a mirror of it. A download that was cut goes on where it was cut. Raises what
    `judgekit.data.download` raises, and CheckpointError for a folder that describes another model.
    """
    config = PRESETS[name]
    files = VOCABULARY_FILES | {checkpoint.SAFETENSORS: RELEASES[name].weights}
    place = f"{server.rstrip('/')}/openai-community/{name}/resolve/{RELEASES[name].revision}"
    if (into / checkpoint.CONFIG).exists() and replace(checkpoint.read_config(into), dropout=config.dropout) != config:
        raise judgekit.CheckpointError(f"describes another model than {name}; choose another folder", path=into)
    wanted = [judgekit.data.RemoteFile(file, f"{place}/{file}", sha256) for file, sha256 in files.items()]
    advice = ", or name a mirror as --mirror; `judgekit gpt2 convert` reads other copies"
    judgekit.data.download(wanted, into, progress, advice)
    content = json.dumps(to_hub(config, end_of_text=config.vocabulary - 1), indent=2) + "\n"
    judgekit.write_atomically(into / checkpoint.CONFIG, content.encode())  # last: only now is it a checkpoint
