"""`judgekit data fetch`: public sets of instruction data and of questions, by address and sha256."""

from __future__ import annotations

import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

import click

import judgekit
import judgekit.data


@dataclass(frozen=True)
class PublicSet:
    """`address`: of a fixed revision where its server has revisions; `sha256`: of the file there. `folder`: the part of
    an archive to unpack."""

    title: str
    address: str
    sha256: str
    licence: str
    source: str
    folder: str = ""

    @property
    def file(self) -> str:
        return self.address.rsplit("/", 1)[1]


# The sha256 of `book` is that of the repository's file. Those of the others are what several public projects that pin
# these files have published independently of each other: if a server should have other bytes, fetching says so.
SETS = {
    "alpaca": PublicSet(
        "Stanford Alpaca: 52,002 instructions by text-davinci-003",
        "https://raw.githubusercontent.com/tatsu-lab/stanford_alpaca/761dc5bfbdeeffa89b8bff5d038781a4055f796a/"
        "alpaca_data.json",
        "2eddafc6b977608d778aaab8dfc7e50e547b3af9826dfb9e909d9fc362e4a419",
        "CC BY-NC 4.0: not for commercial use",
        "https://github.com/tatsu-lab/stanford_alpaca",
    ),
    "dolly": PublicSet(
        "Databricks Dolly 15k: 15,011 instructions by employees",
        "https://huggingface.co/datasets/databricks/databricks-dolly-15k/resolve/"
        "bdd27f4d94b9c1f951818a7da7fd7aeea5dbff1a/databricks-dolly-15k.jsonl",
        "2df9083338b4abd6bceb5635764dab5d833b393b55759dffb0959b6fcbf794ec",
        "CC BY-SA 3.0: name Databricks, share alike",
        "https://huggingface.co/datasets/databricks/databricks-dolly-15k",
    ),
    "book": PublicSet(
        "Build a Large Language Model (From Scratch), chapter 7: 1,100 instructions",
        "https://raw.githubusercontent.com/rasbt/LLMs-from-scratch/b80e7804b30830a00eb55d2abc7ac25a07f36fdc/ch07/"
        "01_main-chapter-code/instruction-data.json",
        "7e09a9af353722ca15c18bc580f093f9c39d3178335a75177319cb1e1d163944",
        "Apache-2.0",
        "https://github.com/rasbt/LLMs-from-scratch",
    ),
    "mmlu": PublicSet(
        "MMLU (Hendrycks et al. 2021): 57 subjects of multiple-choice questions",
        "https://people.eecs.berkeley.edu/~hendrycks/data.tar",
        "bec563ba4bac1d6aaf04141cd7d1605d7a5ca833e38f994051e818489592989b",
        "MIT",
        "https://github.com/hendrycks/test",
        folder="data",
    ),
}


@click.command()
@click.argument("name", required=False)
@click.option("--into", type=click.Path(path_type=Path), help="Folder for the files.  [default: data/NAME]")
@click.option("--address", metavar="URL", help="Fetch the same file from here: a mirror, or a server of your own.")
@click.option("--sha256", metavar="HEX", help="Take a file with this sha256 for it, instead of the published one.")
def fetch(name: str | None, into: Path | None, address: str | None, sha256: str | None) -> None:
    """Download the public set NAME; without a NAME, list what there is, with the licences.

    The file is checked by its sha256, and a download that was cut goes on where it was cut.
    """
    if name is None:
        rows = [(key, one.title, one.licence, one.source) for key, one in SETS.items()]
        judgekit.print_table("public sets", ("name", "what", "licence", "from"), rows)
        return
    if name not in SETS:
        raise judgekit.UsageError(f"no public set is named {name!r}{judgekit.one_of(name, SETS)}")
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise judgekit.UsageError(f"--sha256 is 64 hexadecimal digits, not {sha256!r}")
    chosen = SETS[name]
    folder = into or Path("data") / name
    click.echo(f"{chosen.title}\nlicence: {chosen.licence}\nfrom {chosen.source}", err=True)
    wanted = judgekit.data.RemoteFile(chosen.file, address or chosen.address, (sha256 or chosen.sha256).lower())
    with judgekit.download_progress() as progress:
        judgekit.data.download([wanted], folder, progress, ", or name a mirror of it as --address")
    click.echo(unpacked(folder / chosen.file, chosen.folder) if chosen.folder else folder / chosen.file)


def unpacked(archive: Path, inside: str) -> Path:
    """The folder `inside` of a tar file, unpacked beside it; files that are there are replaced by the same.
    Raises DataError for another kind of file, StorageError."""
    try:
        with tarfile.open(archive) as tar:
            members = [member for member in tar if member.name.split("/")[0] == inside and not _hidden(member.name)]
            if not members:
                raise judgekit.DataError(f"has no folder {inside!r}", path=archive)
            tar.extractall(archive.parent, members, filter="data")
    except tarfile.TarError as error:
        raise judgekit.DataError(f"cannot be unpacked: {error}", path=archive) from None
    except OSError as error:
        raise judgekit.StorageError(f"cannot be unpacked: {error.strerror}", path=archive) from None
    return archive.parent / inside


def _hidden(name: str) -> bool:
    """True for the files that macOS adds to archives."""
    return any(part.startswith(".") for part in name.split("/"))
