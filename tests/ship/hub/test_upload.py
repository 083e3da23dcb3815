"""What `reslab push` asks of the Hub, by a Hub that is not there."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import errors

from reslab.cli import main
from reslab.errors import ReslabError, UsageError
from reslab.ship import publish, push


class FakeApi:
    """HfApi with one repository at most, which notes what was asked."""

    def __init__(self, there: Path | None = None, *, login: bool = True, may: bool = True) -> None:
        self.there, self.login, self.may, self.asked = there, login, may, list[Any]()

    def __call__(self) -> "FakeApi":
        return self

    def whoami(self) -> dict[str, str]:
        if not self.login:
            raise errors.LocalTokenNotFoundError("Token is required")
        return {"name": "me"}

    def model_info(self, name: str) -> Any:
        if self.there is None:
            raise refused(errors.RepositoryNotFoundError, 404)
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=p.name) for p in self.there.iterdir()])

    def hf_hub_download(self, name: str, file: str) -> str:
        assert self.there is not None
        return str(self.there / file)

    def create_repo(self, name: str, **options: Any) -> None:
        if not self.may:
            raise refused(errors.HfHubHTTPError, 403)
        self.asked.append(("create", name, options))

    def upload_folder(self, **options: Any) -> None:
        folder = Path(options.pop("folder_path"))
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        self.asked.append(("upload", files, options))


def refused(kind: Any, status: int) -> Exception:
    response = SimpleNamespace(status_code=status, headers={}, request=None)
    error: Exception = kind("refused", response=response)
    return error


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the API that answers."""
    monkeypatch.setattr("reslab.ship.hub.upload.unreachable", lambda url: "")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)

    def use(**options: Any) -> FakeApi:
        api = FakeApi(**options)
        monkeypatch.setattr("huggingface_hub.HfApi", api)
        return api

    return use


def test_what_is_uploaded(hub: Any, images: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The same files as --out writes, after they were listed with their sizes."""
    api = hub()
    assert main(["push", str(images), "me/birds", "--private", "--license", "mit", "--message", "first"]) == 0
    said = capsys.readouterr().out
    publish(images, out=tmp_path / "out", name="birds", license="mit")
    written = {p.relative_to(tmp_path / "out").as_posix(): p.read_bytes()
               for p in (tmp_path / "out").rglob("*") if p.is_file()}  # fmt: skip
    (_, name, made), (_, files, options) = api.asked
    assert (name, made) == ("me/birds", {"repo_type": "model", "private": True, "exist_ok": True})
    assert files == written
    assert options == {"repo_id": "me/birds", "repo_type": "model", "commit_message": "first"}
    assert said.startswith(f"7 files of {sum(map(len, written.values())) / 1e6:.1f} MB to me/birds:\n  README.md  ")
    assert said.endswith("uploaded: https://huggingface.co/me/birds (private)\n")


def test_a_new_version_goes_to_the_same_model(hub: Any, images: Path, tmp_path: Path) -> None:
    publish(images, out=tmp_path / "there")
    api = hub(there=tmp_path / "there")
    assert push(images, "me/birds").private is None  # its visibility is left as it is
    assert [what for what, *_ in api.asked] == ["upload"]


def test_another_model_is_left_as_it_is(hub: Any, images: Path, tables: Path, tmp_path: Path) -> None:
    publish(tables, out=tmp_path / "there")
    other = tmp_path / "bert"
    other.mkdir()
    (other / "config.json").write_text(json.dumps({"model_type": "bert"}))
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "model.gguf").write_text("")
    for there, sentence in ((tmp_path / "there", "its kind is tables, not images"), (other, "that is not reslab's"),
                            (bare, r"it has no config\.json")):  # fmt: skip
        api = hub(there=there)
        with pytest.raises(UsageError, match=sentence):
            push(images, "me/birds")
        assert api.asked == []


def test_every_fault_is_one_sentence(hub: Any, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub(login=False)
    with pytest.raises(ReslabError, match="you are not logged in to the Hugging Face Hub; run `hf auth login` once"):
        push(images, "me/birds")
    hub(may=False)
    with pytest.raises(ReslabError, match=r"your login may not write to me/birds \(403\)"):
        push(images, "me/birds")
    for wrong in ("birds", "a/b/c", "me/..", "me/", "hf:me/birds", ""):
        with pytest.raises(UsageError, match="write OWNER/NAME"):
            push(images, wrong)
    monkeypatch.setattr("reslab.ship.hub.upload.unreachable", lambda url: "no route to host")
    with pytest.raises(ReslabError, match=r"cannot be reached \(no route to host\)"):
        push(images, "me/birds")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ReslabError, match="HF_HUB_OFFLINE is set, so nothing can be uploaded"):
        push(images, "me/birds")


def test_out_needs_neither_login_nor_network(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    out = tmp_path / "out"
    assert main(["push", str(images), "me/birds", "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["bytes"] == sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    assert "the names of its classes become public" in told["notes"]
    assert main(["push", str(images), "me/birds", "--out", str(tmp_path / "b"), "--private"]) == 2
    assert "--private is for an upload, and --out only writes files" in capsys.readouterr().err
