"""Model files from the Hugging Face hub: what its cache holds, what it offers, and how to get it.

What is in the cache is used without asking the hub, so a machine that once had a network keeps
working without it. The hub's own errors are long and may hold addresses; ours say what to do.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests
from huggingface_hub import HfApi, errors, snapshot_download
from tqdm.auto import tqdm

from asr.errors import ASRError, BackendUnavailable, UnknownModel

PATIENCE = 5.0  # seconds that the hub may take to say what it has


class _Quiet(tqdm):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{**kwargs, "disable": True})


def local(model: str) -> Path | None:
    """The directory that `model` is; None where it may be a name or a repository. Raises UnknownModel."""
    path = Path(model).expanduser()
    if model and path.is_dir():
        return path
    if model.startswith(("/", "./", "../", "~")) or model.count("/") > 1:
        raise UnknownModel(f"There is no directory {model}.", "Check the path.")
    return None


def cached(repository: str, files: Sequence[str]) -> Path | None:
    """The directory with what the cache holds of `files` (names or patterns); None where it holds nothing."""
    try:
        return Path(snapshot_download(repository, allow_patterns=list(files), local_files_only=True))
    except errors.LocalEntryNotFoundError:
        return None


def offered(repository: str, patience: float = PATIENCE) -> set[str]:
    """The names of the files that the hub has; to be called inside `in_plain_words`."""
    return {f.rfilename for f in HfApi().model_info(repository, timeout=patience).siblings or ()}


def download(repository: str, files: Sequence[str]) -> Path:
    """The directory with `files` (names or patterns), fetched if need be; inside `in_plain_words`."""
    return Path(snapshot_download(repository, allow_patterns=list(files), tqdm_class=_Quiet))


@contextmanager
def in_plain_words(repository: str, backend: str) -> Iterator[None]:
    """What the hub's client raises, as UnknownModel or BackendUnavailable with what to do about it."""
    local = f"Or copy a model's directory to this machine and name it: {backend}:/path/to/model."
    try:
        yield
    except ASRError:
        raise
    except errors.GatedRepoError as e:
        raise BackendUnavailable(
            f"{repository} is open only to people who accepted its terms.",
            f"Accept them at https://huggingface.co/{repository} and set HF_TOKEN to your token.",
        ) from e
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as e:
        raise UnknownModel(
            f"The model hub has no {repository}, or it is private.",
            "Check the name; a private model needs HF_TOKEN set to a token that may read it.",
        ) from e
    except errors.OfflineModeIsEnabled as e:
        raise BackendUnavailable(
            f"{repository} is not whole in the cache, and HF_HUB_OFFLINE forbids downloading it.",
            f"Unset HF_HUB_OFFLINE once. {local}",
        ) from e
    except (errors.LocalEntryNotFoundError, requests.ConnectionError, requests.Timeout) as e:
        raise BackendUnavailable(
            f"{repository} is not whole in the cache, and the model hub cannot be reached.",
            f"Check the network or the proxy. {local}",
        ) from e
    except requests.HTTPError as e:
        raise _refused(repository, e) from e
    except OSError as e:
        full = e.errno in (errno.ENOSPC, errno.EDQUOT)
        raise BackendUnavailable(
            f"{repository} cannot be kept on this disk: {e.strerror or type(e).__name__}.",
            "Make room, or set HF_HOME to a larger disk."
            if full
            else "Set HF_HOME to a folder you may write to.",
        ) from e


def _refused(repository: str, error: requests.HTTPError) -> BackendUnavailable:
    status = error.response.status_code if error.response is not None else "nothing"
    return BackendUnavailable(
        f"The model hub answered {status} when asked for {repository}.",
        "HF_TOKEN is wrong or may not read it: set another one."
        if status in (401, 403)
        else "Try again later.",
    )
