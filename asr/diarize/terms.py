"""Whether pyannote's models can be had, asked before anything is downloaded.

They are gated: the hub gives them to whoever has a token and has accepted each model's terms. When one of
these is missing, people are told which pages to open, signed in as whom, and what to set.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from huggingface_hub import HfApi, constants, errors, get_token, try_to_load_from_cache

from asr.errors import BackendUnavailable

COMMUNITY = "pyannote/speaker-diarization-community-1"
PARTS = ("segmentation/pytorch_model.bin", "embedding/pytorch_model.bin")
PLDA = ("plda/plda.npz", "plda/xvec_transform.npz")
# What each pipeline downloads. pyannote.audio 4 loads community-1's PLDA for 3.1, too, though 3.1 does not
# use it (pyannote-audio issue 2044): without its terms accepted, 3.1 fails.
FILES = {
    "community-1": {COMMUNITY: ("config.yaml", *PARTS, *PLDA)},
    "3.1": {
        "pyannote/speaker-diarization-3.1": ("config.yaml",),
        "pyannote/segmentation-3.0": ("pytorch_model.bin",),
        "pyannote/wespeaker-voxceleb-resnet34-LM": ("pytorch_model.bin",),
        COMMUNITY: PLDA,
    },
}
TOKENS = "https://huggingface.co/settings/tokens"
LOCAL = "Or copy a pipeline's directory to this machine and set ASR_PYANNOTE_MODEL to its path."


def location(model: str) -> str:
    """What pyannote shall load: the directory or the repository that `model` names.

    Raises BackendUnavailable where that is neither of FILES nor a directory with a pipeline.
    """
    if model in FILES:
        return next(iter(FILES[model]))
    if (Path(model) / "config.yaml").is_file():
        return str(Path(model).absolute())
    raise BackendUnavailable(
        f"ASR_PYANNOTE_MODEL={model} is no directory with a pipeline: it has no config.yaml.",
        f"Set it to one of {', '.join(FILES)}, or to the path of such a directory.",
    )


def complete(model: str) -> bool:
    """Whether all of it is on this machine already, so that nobody need be asked."""
    if model not in FILES:
        return True
    return all(
        isinstance(try_to_load_from_cache(repository, name), str)
        for repository, names in FILES[model].items()
        for name in names
    )


def check(model: str) -> None:
    """Raises BackendUnavailable, with what to do, where the hub would not give us `model`."""
    location(model)
    if complete(model):
        return
    token = get_token()  # HF_TOKEN, or what `hf auth login` left
    gated = [r for r in FILES[model] if r != "pyannote/wespeaker-voxceleb-resnet34-LM"]
    pages = " and ".join(f"https://huggingface.co/{r}" for r in gated)
    if constants.HF_HUB_OFFLINE:
        raise BackendUnavailable(
            f"pyannote's {model} is not on this machine, and HF_HUB_OFFLINE forbids asking the model hub.",
            f"Unset HF_HUB_OFFLINE once. {LOCAL}",
        )
    if not token:
        raise BackendUnavailable(
            f"pyannote's {model} is only for people who accepted its terms, and there is no HF_TOKEN.",
            f"Sign in at Hugging Face, open {pages} and accept the terms; make a token of type Read "
            f"at {TOKENS} and set it as the secret HF_TOKEN.",
        )
    with _in_plain_words(model):
        who = _owner(token)
        missing = [r for r in gated if not _allowed(r, token)]
    if missing:
        raise BackendUnavailable(*_to_accept(missing, who))


def _owner(token: str) -> dict:
    try:
        return HfApi().whoami(token=token)
    except requests.HTTPError as e:
        if e.response is None or e.response.status_code not in (401, 403):
            raise
        raise BackendUnavailable(
            "The model hub does not know the token in HF_TOKEN: it is mistyped, expired or deleted.",
            f"Make a new one of type Read at {TOKENS} and set it as the secret HF_TOKEN.",
        ) from None


def _allowed(repository: str, token: str) -> bool:
    try:
        HfApi().auth_check(repository, token=token)
    except errors.GatedRepoError:
        return False
    return True


def _to_accept(missing: list[str], who: dict) -> tuple[str, str]:
    name = who.get("name", "somebody")
    pages = " and ".join(f"https://huggingface.co/{r}" for r in missing)
    fix = f"Open {pages} signed in as {name} and accept; the token can stay as it is."
    if who.get("auth", {}).get("accessToken", {}).get("role") == "fineGrained":
        fix += (
            f" If that is done: this token is a fine-grained one; allow it, at {TOKENS}, "
            '"Read access to contents of all public gated repos you can access".'
        )
    return f"HF_TOKEN belongs to {name}, who has not accepted the terms of {' and '.join(missing)}.", fix


@contextmanager
def _in_plain_words(model: str) -> Iterator[None]:
    """What else the hub's client raises, without its addresses."""
    try:
        yield
    except (requests.ConnectionError, requests.Timeout, errors.OfflineModeIsEnabled) as e:
        raise BackendUnavailable(
            f"pyannote's {model} is not on this machine, and the model hub cannot be reached.",
            f"Check the network or the proxy. {LOCAL}",
        ) from e
    except requests.HTTPError as e:
        status = e.response.status_code if e.response is not None else "nothing"
        raise BackendUnavailable(
            f"The model hub answered {status} when asked for pyannote's {model}.", f"Try again later. {LOCAL}"
        ) from e
