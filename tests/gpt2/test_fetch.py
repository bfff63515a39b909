"""`judgekit gpt2 fetch` against a real server on this machine that redirects, cuts, lies and refuses."""

import hashlib
import json
import re
import shutil

import pytest
import torch
from click.testing import CliRunner

import judgekit
from full_disk import full_disk
from hub import nobody_there, serving
from judgekit.data import downloads
from judgekit_gpt2 import checkpoint, fetch, weights
from judgekit_gpt2.commands import gpt2
from judgekit_gpt2.config import PRESETS, GPT2Config

REVISION = "0123456789abcdef0123456789abcdef01234567"
FILES = ("config.json", "merges.txt", "model.safetensors", "vocab.json")


@pytest.fixture
def hub(reference_folder, monkeypatch):
    """A hub whose `gpt2` is the reference model, with everything pinned to it."""
    files = {name: (reference_folder / name).read_bytes() for name in FILES[1:]}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setitem(fetch.RELEASES, "gpt2", fetch.Release(REVISION, hashes["model.safetensors"]))
    for name in ("vocab.json", "merges.txt"):
        monkeypatch.setitem(fetch.VOCABULARY_FILES, name, hashes[name])
    monkeypatch.setitem(PRESETS, "gpt2", GPT2Config(300, 64, 32, 2, 4))
    monkeypatch.setenv("NO_PROXY", "*")
    with serving(files, f"/openai-community/gpt2/resolve/{REVISION}") as served:
        yield served


@pytest.fixture
def nobody():
    with nobody_there() as address:
        yield address


def _fetch(hub, into):
    fetch.fetch("gpt2", into, hub.address, lambda *_: None)


def _names(folder):
    return tuple(sorted(path.name for path in folder.iterdir()))


def test_every_release_is_pinned_by_revision_and_sha256():
    assert fetch.RELEASES.keys() == PRESETS.keys() == {"gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"}
    for release in fetch.RELEASES.values():
        assert re.fullmatch(r"[0-9a-f]{40}", release.revision)
    hashes = [release.weights for release in fetch.RELEASES.values()] + list(fetch.VOCABULARY_FILES.values())
    assert all(re.fullmatch(r"[0-9a-f]{64}", each) for each in hashes)
    assert len(set(hashes)) == 6


def test_a_fetched_model_is_the_published_one(hub, reference, tmp_path):
    _fetch(hub, tmp_path / "a" / "gpt2")
    assert _names(tmp_path / "a" / "gpt2") == FILES
    model, _ = weights.load(tmp_path / "a" / "gpt2")
    ids = torch.randint(0, 300, (2, 30))
    with torch.inference_mode():
        torch.testing.assert_close(model.logits(model(ids)), reference(ids).logits, rtol=0, atol=1e-5)


def test_what_is_there_is_not_fetched_again(hub, nobody, tmp_path):
    _fetch(hub, tmp_path)
    hub.asked.clear()
    before = (tmp_path / "config.json").read_bytes()
    _fetch(hub, tmp_path)
    assert hub.asked == []
    (tmp_path / "config.json").unlink()  # as if all the files were brought by hand
    fetch.fetch("gpt2", tmp_path, nobody, lambda *_: None)
    assert checkpoint.check(tmp_path) == PRESETS["gpt2"]
    (tmp_path / "vocab.json").unlink()
    _fetch(hub, tmp_path)
    assert [name for name, _ in hub.asked] == ["vocab.json"]
    assert (tmp_path / "config.json").read_bytes() == before


PARTS = {  # how much is there of the file, the server's faults, and the first rests that it is asked for of how many
    "cut twice": (0, ["cut", "cut"], ["", "half"], 3),
    "cut, and no length": (0, ["cut", "no length"], ["", "half"], 2),
    "a part of an earlier command": (1000, [], ["bytes=1000-"], 1),
    "a part, and a server without ranges": (1000, ["whole"], ["bytes=1000-"], 1),
    "all of it": (None, [], [], 0),
}


@pytest.mark.parametrize("case", PARTS)
def test_a_part_of_a_file_is_gone_on_with(hub, nobody, tmp_path, case):
    part, faults, asked, count = PARTS[case]
    content = hub.files["model.safetensors"]
    if part != 0:
        (tmp_path / "model.safetensors.part").write_bytes(content[:part])
        with pytest.raises(judgekit.Unreachable):
            fetch.fetch("gpt2", tmp_path, nobody, lambda *_: None)
    hub.faults["model.safetensors"] = faults
    _fetch(hub, tmp_path)
    ranges = hub.asked_for("model.safetensors")
    assert len(ranges) == count
    assert ranges[:2] == [f"bytes={len(content) // 2}-" if expected == "half" else expected for expected in asked]
    assert (tmp_path / "model.safetensors").read_bytes() == content
    assert _names(tmp_path) == FILES


@pytest.mark.parametrize(
    ("part", "fault", "message"),
    [
        (None, "other bytes", r"gave other bytes than the published ones \(sha256 [0-9a-f]{64}\)"),
        (b"other", "", "gave other bytes than the published ones"),
        (b"longer", "", "has no rest for the"),
        (b"other", "elsewhere", "has no rest for the 5 bytes"),
    ],
)
def test_other_bytes_are_deleted(hub, tmp_path, part, fault, message):
    if part is not None:
        content = hub.files["model.safetensors"] + b"more" if part == b"longer" else part
        (tmp_path / "model.safetensors.part").write_bytes(content)
    hub.faults["model.safetensors"] = [fault]
    with pytest.raises(judgekit.DataError, match=message) as caught:
        _fetch(hub, tmp_path)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert _names(tmp_path) == ("merges.txt", "vocab.json")
    _fetch(hub, tmp_path)
    assert _names(tmp_path) == FILES


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        ("404", judgekit.ModelNotFound, 4),
        *((status, judgekit.AuthError, 4) for status in ("403", "401")),
        *((status, judgekit.CallError, 3) for status in ("429", "503", "204")),
    ],
)
def test_a_refusal_is_told(hub, tmp_path, status, error, code):
    hub.faults["merges.txt"] = [status]
    with pytest.raises(
        error, match=rf"^{hub.address}/openai-community/gpt2/\S+/merges.txt answered {status}"
    ) as caught:
        _fetch(hub, tmp_path)
    assert caught.value.exit_code == code


def test_without_a_network_one_line_says_what_to_do(nobody, tmp_path):
    with pytest.raises(judgekit.Unreachable) as caught:
        fetch.fetch("gpt2-medium", tmp_path, nobody, lambda *_: None)
    message = str(caught.value)
    revision = fetch.RELEASES["gpt2-medium"].revision
    assert message.startswith(f"{nobody}/openai-community/gpt2-medium/resolve/{revision}/vocab.json: no connection")
    by_hand = f"bring vocab.json, merges.txt, model.safetensors from there into {tmp_path} by hand"
    for what in (by_hand, "--mirror", "`judgekit gpt2 convert`"):
        assert what in message
    assert not list(tmp_path.iterdir())
    assert "\n" not in message


@pytest.mark.parametrize(
    ("server", "shown"),
    [
        *(
            (server, server)
            for server in ("ftp://a", "huggingface.co", "http://", "http://[", "http://127.0.0.1:99999")
        ),
        *(
            (f"{user}@mirror.example", "mirror.example/")
            for user in ("http://user:secret", "http://user:1/secret", "ftp://user:@secret", "user:secret")
        ),
    ],
)
def test_an_address_that_is_none_is_an_error_and_a_password_in_it_is_not_shown(tmp_path, server, shown):
    with pytest.raises(judgekit.UsageError, match=re.escape(shown)) as caught:
        fetch.fetch("gpt2", tmp_path, server, lambda *_: None)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_proxy_that_cannot_be_used_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:1")
    with pytest.raises(judgekit.UsageError, match="the proxy that the environment names"):
        fetch.fetch("gpt2", tmp_path, "http://127.0.0.1:1", lambda *_: None)


def test_another_file_of_that_name_is_not_overwritten(hub, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"mine")
    with pytest.raises(judgekit.DataError, match=r"model.safetensors: is not the published file \(sha256 "):
        _fetch(hub, tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == b"mine"
    assert hub.asked == []


def test_a_folder_with_another_model_is_refused(hub, reference_folder, tmp_path):
    shutil.copy(reference_folder / "config.json", tmp_path)
    with pytest.raises(judgekit.CheckpointError, match="describes another model than gpt2-xl"):
        fetch.fetch("gpt2-xl", tmp_path, hub.address, lambda *_: None)
    _fetch(hub, tmp_path)  # in all but its dropout, it may be, it is this one


def test_a_folder_that_cannot_be_made_is_an_error(hub, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(judgekit.StorageError, match="cannot be written"):
        _fetch(hub, tmp_path / "file" / "gpt2")


def test_two_at_once_in_one_folder_are_one_too_many(hub, tmp_path):
    with downloads.alone(tmp_path), pytest.raises(judgekit.UsageError, match="another fetch is at work"):
        _fetch(hub, tmp_path)
    _fetch(hub, tmp_path)


def test_a_full_disk_keeps_what_came(hub, tmp_path):
    with full_disk(1 << 15), pytest.raises(judgekit.StorageError, match=r"s\.part: cannot be written") as caught:
        _fetch(hub, tmp_path)
    assert caught.value.exit_code == 6
    assert (tmp_path / "model.safetensors.part").stat().st_size > 0
    _fetch(hub, tmp_path)
    assert _names(tmp_path) == FILES


def test_a_disk_that_is_too_small_is_told_before_the_download(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(judgekit.StorageError, match="MB more do not fit on this disk"):
        _fetch(hub, tmp_path)


def _run(*arguments, **environment):
    return CliRunner().invoke(gpt2, ["fetch", *map(str, arguments)], env=environment, catch_exceptions=False)


def test_the_command_shows_its_progress_and_prints_the_folder(hub, tmp_path, monkeypatch):
    hub.files["model.safetensors"] = bytes(3_000_000)
    sha256 = hashlib.sha256(hub.files["model.safetensors"]).hexdigest()
    monkeypatch.setitem(fetch.RELEASES, "gpt2", fetch.Release(REVISION, sha256))
    done = _run("gpt2", "--into", tmp_path / "a", "--mirror", hub.address + "/")
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'a'}\n")
    assert "model.safetensors  3.0 MB of 3.0" in done.stderr
    assert len([line for line in done.stderr.splitlines() if "model.safetensors" in line]) <= 10


def test_the_command_reads_the_mirror_as_the_hubs_own_tools_do(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert _run("gpt2", HF_ENDPOINT=hub.address).stdout == "checkpoints/gpt2\n"
    assert _names(tmp_path / "checkpoints" / "gpt2") == FILES
    assert json.loads((tmp_path / "checkpoints" / "gpt2" / "config.json").read_text())["n_embd"] == 32


def test_the_command_knows_only_the_four(tmp_path):
    done = _run("gpt3", "--into", tmp_path)
    assert done.exit_code == 2
    assert "gpt2-medium" in done.stderr
