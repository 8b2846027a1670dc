"""Settings: read once, from one place, and none that nobody reads."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from asr.config import Config
from asr.errors import ConfigError

ROOT = Path(__file__).parent.parent


def test_an_empty_environment_gives_the_defaults():
    assert Config.from_env({}) == Config()


def test_each_setting_is_read_as_what_it_is():
    env = {
        "ASR_MODEL": "faster_whisper:small",
        "ASR_PORT": "80",
        "ASR_MAX_AUDIO_HOURS": "0.5",
        "ASR_DATA_DIR": "/d",
    }
    config = Config.from_env(env | {"PATH": "/bin", "HF_TOKEN": "x"})
    assert (config.model, config.port, config.max_audio_hours) == ("faster_whisper:small", 80, 0.5)
    assert config.data_dir == Path("/d")


def test_an_empty_variable_is_one_that_was_not_set():
    assert Config.from_env({"ASR_MODEL": "", "ASR_PORT": "", "GRADIO_SERVER_PORT": ""}) == Config()


def test_a_misspelt_setting_is_an_error_that_knows_better():
    with pytest.raises(ConfigError, match="Did you mean ASR_MODEL"):
        Config.from_env({"ASR_MODLE": "small"})


@pytest.mark.parametrize(
    "name, text", [("PORT", "abc"), ("PORT", "-1"), ("MAX_AUDIO_HOURS", "nan"), ("MAX_UPLOAD_MB", "1.5")]
)
def test_a_value_that_cannot_be_used_is_refused_with_the_default(name, text):
    with pytest.raises(ConfigError, match=f"ASR_{name}='{text}' is not a .*number.* The default is"):
        Config.from_env({f"ASR_{name}": text})


def test_gradio_s_names_count_where_ours_are_silent():
    env = {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": "7861"}
    assert (Config.from_env(env).host, Config.from_env(env).port) == ("0.0.0.0", 7861)
    assert Config.from_env(env | {"ASR_PORT": "9"}).port == 9


def test_secrets_are_not_in_the_repr():
    secrets = [f.name for f in fields(Config) if f.metadata.get("secret")]
    config = Config(**dict.fromkeys(secrets, "hush-hush"))
    assert "api_keys" in secrets and "hush-hush" not in repr(config)


def test_every_setting_says_what_it_is_for_and_is_read_somewhere():
    code = "\n".join(
        p.read_text(encoding="utf-8")
        for p in [ROOT / "app.py", *ROOT.glob("asr/**/*.py"), *ROOT.glob("ui/**/*.py")]
        if p.exists() and p != ROOT / "asr/config.py"
    )
    for field in fields(Config):
        assert field.metadata["says"]
        assert re.search(rf"\.{field.name}\b", code), f"nobody reads {field.name}"


def test_nobody_else_reads_the_environment_for_settings_of_ours():
    for path in [*ROOT.glob("asr/**/*.py"), *ROOT.glob("ui/**/*.py")]:
        if path != ROOT / "asr/config.py":
            assert not re.search(r"environ.{0,20}ASR_|getenv\(.ASR_", path.read_text(encoding="utf-8")), path
