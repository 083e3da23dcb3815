"""`push`: the folder of `publish` to the Hugging Face Hub, with one sentence for everything that can go wrong."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, UsageError, arg, first_line
from reslab.extras import need
from reslab.nets.hub import LONGEST, endpoint, on_hub, unreachable
from reslab.nets.published import part
from reslab.ship.hub.publish import publish
from reslab.ship.hub.record import Published
from reslab.stored.published import CONFIG, EXPORTED, MARK, read_config


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """What was uploaded, and where it is now."""

    name: str
    url: str
    private: bool | None  # None: the repository was there before, and keeps its visibility
    published: Published


def push(
    model: Path | str, name: str, *, private: bool = False, license: str = "", message: str = "",
    say: Callable[[Published], Any] = lambda found: None,
) -> Pushed:  # fmt: skip
    """Publish a run folder, or an exported folder, as the model OWNER/NAME on the Hugging Face Hub.

    The login is that of huggingface_hub (`hf auth login`, or HF_TOKEN). `say` is told what will be uploaded, before
    anything is. A repository that holds this model gets a new version; one that holds another model is left as it is.
    Raises UsageError for a wrong name and for another model, ReslabError without a login or a network.
    """
    check_name(name)
    hub: Any = need("huggingface_hub", extra="ship", why="`reslab push`")
    with asking(name):
        may_ask()
        api = hub.HfApi()
        api.whoami()
    with tempfile.TemporaryDirectory(prefix="reslab-push-") as place:
        found = publish(model, out=Path(place) / "model", name=name.rpartition("/")[2], license=license)
        with asking(name):
            there = refuse_other(api, name, found.folder)
            say(found)
            if not there:
                api.create_repo(name, repo_type="model", private=private, exist_ok=True)
            api.upload_folder(repo_id=name, repo_type="model", folder_path=str(found.folder),
                              commit_message=message or f"reslab push: {name.rpartition('/')[2]}")  # fmt: skip
    return Pushed(name=name, url=f"{endpoint()}/{name}", private=None if there else private, published=found)


def check_name(name: str) -> None:
    """Raise UsageError for anything but OWNER/NAME, as the Hub's rules have it."""
    if name.count("/") != 1 or not on_hub(name):
        raise UsageError(f"{name!r} is not a name on the Hugging Face Hub; write OWNER/NAME, where OWNER is your user "
                         f"name there, of letters, digits, -, _ and ., each at most {LONGEST} characters")  # fmt: skip


def may_ask() -> None:
    """Raise ReslabError if the Hub is switched off or does not answer."""
    if part("constants").HF_HUB_OFFLINE:
        raise ReslabError("HF_HUB_OFFLINE is set, so nothing can be uploaded; unset it, or write only the files with ",
                          arg("out"), " and upload that folder later: hf upload OWNER/NAME FOLDER")  # fmt: skip
    if why := unreachable(endpoint()):
        raise ReslabError(f"the Hugging Face Hub cannot be reached ({why}); write only the files with ", arg("out"),
                          " and upload that folder later: hf upload OWNER/NAME FOLDER")  # fmt: skip


def refuse_other(api: Any, name: str, folder: Path) -> bool:
    """Whether the repository is there already. Raises UsageError if it holds another model than the folder."""
    errors = part("errors")
    try:
        files = [one.rfilename for one in api.model_info(name).siblings or ()]
    except errors.RepositoryNotFoundError:
        return False
    if all(one.startswith(".git") or one in ("README.md", "LICENSE") for one in files):
        return True  # it was made, and nothing was uploaded yet
    if CONFIG not in files:
        raise UsageError(f"{name} holds another model, which is left as it is: it has no {CONFIG}; choose another name")
    theirs = read_config(Path(api.hf_hub_download(name, CONFIG)).parent) or {}
    ours = read_config(folder) or {}
    if MARK not in theirs and EXPORTED not in theirs:
        raise UsageError(f"{name} holds a model that is not reslab's, which is left as it is; choose another name")
    if unlike := difference(theirs, ours):
        raise UsageError(f"{name} holds another model, which is left as it is ({unlike}); choose another name, or "
                         "delete the repository on its page")  # fmt: skip
    return True


def difference(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """How two configs are of different models, in words; "" for versions of one: the same net, with other weights."""
    for key, what in ((EXPORTED, "an exported folder"), (MARK, "a trained net")):
        if (key in theirs) != (key in ours):
            return f"it is {what}, and this one is not" if key in theirs else f"it is not {what}, and this one is"
    for key in ("kind", "family", "engine", "precision", "members"):
        if theirs.get(key) != ours.get(key):
            return f"its {key} is {theirs.get(key)}, not {ours.get(key)}"
    old, new = theirs.get("spec") or {}, ours.get("spec") or {}
    unlike = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    if unlike:
        return f"its {unlike[0]} is {old.get(unlike[0])!r}, not {new.get(unlike[0])!r}"
    return ""


@contextmanager
def asking(name: str) -> Iterator[None]:
    """Turn the many errors of the Hub's library into one sentence each."""
    errors = part("errors")
    try:
        yield
    except (ReslabError, MemoryError):
        raise
    except errors.LocalTokenNotFoundError as error:
        raise ReslabError("you are not logged in to the Hugging Face Hub; run `hf auth login` once, or set HF_TOKEN "
                          "to a token that may write") from error  # fmt: skip
    except errors.HfHubHTTPError as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status == 401:
            raise ReslabError("the Hugging Face Hub refuses the login (401): the token is invalid or expired; run "
                              "`hf auth login` again") from error  # fmt: skip
        if status == 403:
            raise ReslabError(f"your login may not write to {name} (403): use a token that may write, and an OWNER "
                              "that is yours") from error  # fmt: skip
        raise ReslabError(f"{name} could not be uploaded: {first_line(error)}") from error
    except Exception as error:  # its HTTP library and the file system raise nearly anything
        raise ReslabError(f"{name} could not be uploaded: {first_line(error)}") from error
