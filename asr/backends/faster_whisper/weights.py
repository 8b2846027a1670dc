"""From a model's name to a directory that holds all of it: local, cached, or downloaded.

What is in the cache is used without asking the hub, so a machine that once had a network
keeps working without it.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path

import requests
from faster_whisper.utils import _MODELS as REPOSITORIES  # short name -> hub repository
from faster_whisper.utils import disabled_tqdm
from huggingface_hub import HfApi, errors, snapshot_download

from asr.errors import ASRError, BackendUnavailable, UnknownModel

FILES = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*")
PATIENCE = 5.0  # seconds that the hub may take to say what it has
LOCAL = "Or copy a model's directory to this machine and name it: faster_whisper:/path/to/model."

log = logging.getLogger(__name__)


def find(model: str) -> Path:
    """The directory of `model`: a name faster-whisper knows, a hub repository or a directory.

    Downloads it if need be. Raises UnknownModel when there is no such model, BackendUnavailable
    when it cannot be had now or is not whole.
    """
    path = Path(model).expanduser()
    if model and path.is_dir():
        return _whole(path)
    if model.startswith(("/", "./", "../", "~")) or model.count("/") > 1:
        raise UnknownModel(f"There is no directory {model}.", "Check the path.")
    if "/" in model:
        return _from_hub(model)
    if model in REPOSITORIES:
        return _from_hub(REPOSITORIES[model])
    near = get_close_matches(model, REPOSITORIES, 1)
    raise UnknownModel(
        f"There is no Whisper model {model!r}." if model else "No Whisper model was named.",
        f"Did you mean faster_whisper:{near[0]}?" if near else f"There are: {', '.join(REPOSITORIES)}.",
    )


def missing(folder: Path) -> list[str]:
    """The files that `folder` lacks to be a whole CTranslate2 model."""
    needed = ["config.json", "model.bin", "tokenizer.json"]
    lacks = [name for name in needed if not (folder / name).is_file()]
    return lacks if any(folder.glob("vocabulary.*")) else [*lacks, "vocabulary.json"]


def _whole(folder: Path) -> Path:
    lacks = missing(folder)
    if not lacks:
        return folder
    if any(folder.glob("*.safetensors")) or any(folder.glob("pytorch_model*.bin")):
        raise BackendUnavailable(
            f"{folder} holds a Transformers model, not a CTranslate2 one.",
            f"Convert it: ct2-transformers-converter --model {folder} --output_dir NEW "
            "--copy_files tokenizer.json preprocessor_config.json",
        )
    raise BackendUnavailable(
        f"The model in {folder} is not whole, it lacks {' and '.join(lacks)}.", "Copy or download it again."
    )


def _from_hub(repository: str) -> Path:
    with _in_plain_words(repository):
        with suppress(errors.LocalEntryNotFoundError):
            cached = Path(snapshot_download(repository, allow_patterns=FILES, local_files_only=True))
            if not missing(cached):
                return cached
        offered = {f.rfilename for f in HfApi().model_info(repository, timeout=PATIENCE).siblings or ()}
        if "model.bin" not in offered:
            raise UnknownModel(
                f"{repository} on the model hub is not in CTranslate2 format: it has no model.bin.",
                "Choose one that is, for example Systran/faster-whisper-small.",
            )
        log.info("Downloading %s from the model hub.", repository)
        return _whole(Path(snapshot_download(repository, allow_patterns=FILES, tqdm_class=disabled_tqdm)))


@contextmanager
def _in_plain_words(repository: str) -> Iterator[None]:
    """What the hub's client raises, as one of our errors. Its own texts are long and may hold addresses."""
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
            f"Unset HF_HUB_OFFLINE once. {LOCAL}",
        ) from e
    except (errors.LocalEntryNotFoundError, requests.ConnectionError, requests.Timeout) as e:
        raise BackendUnavailable(
            f"{repository} is not whole in the cache, and the model hub cannot be reached.",
            f"Check the network or the proxy. {LOCAL}",
        ) from e
    except requests.HTTPError as e:
        status = e.response.status_code if e.response is not None else "nothing"
        refused = status in (401, 403)
        raise BackendUnavailable(
            f"The model hub answered {status} when asked for {repository}.",
            "HF_TOKEN is wrong or may not read it: set another one." if refused else "Try again later.",
        ) from e
    except OSError as e:
        full = e.errno in (errno.ENOSPC, errno.EDQUOT)
        raise BackendUnavailable(
            f"{repository} cannot be kept on this disk: {e.strerror or type(e).__name__}.",
            "Make room, or set HF_HOME to a larger disk."
            if full
            else "Set HF_HOME to a folder you may write to.",
        ) from e
