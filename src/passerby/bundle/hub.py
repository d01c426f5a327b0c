"""Bundles on the Hugging Face Hub."""

from __future__ import annotations

import re
from pathlib import Path

from passerby._version import __version__
from passerby.bundle.storage import CARD, CONFIG, WEIGHTS
from passerby.errors import BundleError
from passerby.io import state_reason

__all__ = ["download", "locate", "upload"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def locate(path_or_hub_id: str | Path, revision: str | None = None) -> Path:
    """The local path of a bundle; one on the Hub is downloaded unless it is in the cache.

    Raises:
        BundleError: If there is no such path and no such bundle on the Hub, or a local bundle is given with a
            revision.
    """
    path = Path(path_or_hub_id).expanduser()
    if not path.exists():
        return download(str(path_or_hub_id), revision)
    if revision is not None:
        raise BundleError(f"{path} is a local bundle and has no revision {revision!r}; leave it out")
    return path


def download(name: str, revision: str | None) -> Path:
    """Download a bundle from the Hub unless it is in the cache, and return the local path.

    Raises:
        BundleError: If the name is not a valid Hub name, or the download fails.
    """
    if not _HUB_ID.fullmatch(name) or name.endswith(".zip") or Path(name.split("/")[0]).exists():
        raise BundleError(
            f"no bundle at {name}: it does not exist; give a folder, a .zip file, or owner/name on the "
            "Hugging Face Hub"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=[CONFIG, WEIGHTS, CARD]))
    except Exception as error:  # of the Hub's client, httpx or the operating system
        raise BundleError(
            f"no bundle at {name} on this machine, and it could not be downloaded from the Hugging Face Hub "
            f"({state_reason(error)}); check the name, the revision and the connection"
        ) from error


def upload(folder: Path, repo_id: str, *, private: bool, revision: str | None, message: str) -> str:
    """Commit a saved bundle to a repository, which is created if necessary; return its address.

    Raises:
        BundleError: If the Hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi

    try:
        api = HfApi(library_name="passerby", library_version=__version__)
        url = api.create_repo(repo_id, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        api.upload_folder(repo_id=repo_id, folder_path=folder, revision=revision, commit_message=message)
    except Exception as error:  # as above
        raise BundleError(
            f"could not push to {repo_id} ({state_reason(error)}); check the name, the connection and "
            "that you are logged in (`hf auth login`)"
        ) from error
    return str(url)
