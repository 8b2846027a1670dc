"""The house rules, as a test: a room imports only from below it, and inside a room nothing goes round."""

import ast
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
FLOORS = [
    {"asr.types", "asr.errors", "asr.languages", "asr.locales", "asr.machine"},
    {"asr.config", "asr.logs", "asr.hub", "asr.audio", "asr.text", "asr.guards", "asr.cost"},
    {
        "asr.vad",
        "asr.formats",
        "asr.speakers",
        "asr.backends",
        "asr.align",
        "asr.catalogue",
        "asr.ice",
        "asr.spare",
    },
    {"asr.diarize", "asr.edits", "asr.pipeline", "asr.live", "asr.choice", "asr.held"},
    {"asr.scheduler", "asr.sessions", "asr.models", "asr.doctor", "asr.zerogpu", "asr.batch"},
    {"asr.jobs", "asr.api", "asr.bench", "asr.commands"},
    {"asr.gate", "asr.__main__"},
    {"ui"},
    {"app"},
]
ONLY_HERE = {
    "gradio": ("ui", "app"),
    "fastrtc": ("ui",),
    "fastapi": ("asr.api", "app"),
    "av": ("asr.audio", "asr.bench.soak"),
    "faster_whisper": ("asr.backends.faster_whisper", "asr.bench"),
    "ctranslate2": ("asr.backends.faster_whisper", "asr.machine", "asr.bench"),
    "pocketsphinx": ("asr.backends.pocketsphinx",),
    "docx": ("asr.formats.document",),
    "onnx_asr": ("asr.backends.onnx",),
    "transformers": ("asr.backends.transformers",),
    "spaces": ("asr.zerogpu",),
    "whisperx": ("asr.align", "asr.diarize", "asr.bench"),
    "ray": ("asr.batch.cluster", "asr.commands.batch"),
    "pyannote": ("asr.diarize", "asr.bench"),
}
NO_SUCH_ROOM = {"utils", "core", "managers", "factory", "constants", "services", "helpers"}


def modules():
    for path in [ROOT / "app.py", *ROOT.glob("asr/**/*.py"), *ROOT.glob("ui/**/*.py")]:
        if path.exists():
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path


def room(module: str) -> str:
    """The file or folder just under asr/; all of ui/ is one room."""
    return ".".join(module.split(".")[: 2 if module.startswith("asr.") else 1])


def imports(path: Path):
    known = {name for name, _ in modules()}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            whole = {f"{node.module}.{a.name}" for a in node.names}
            yield from (whole & known) or {node.module}
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names)


def ours():
    """Each import of one module of the house by another, both named whole."""
    for module, path in modules():
        for used in imports(path):
            if used.split(".")[0] in ("asr", "ui", "app") and used not in ("asr", module):
                yield module, used


def test_imports_go_down_only():
    floor = {name: number for number, rooms in enumerate(FLOORS) for name in rooms}
    for module, _ in modules():
        assert module == "asr" or room(module) in floor, f"{module} stands on no floor: give it one in FLOORS"
    for module, used in ours():
        below = floor[room(used)] < floor[room(module)]
        assert below or room(used) == room(module), f"{module} must not import {used}"


def test_nothing_goes_round_in_a_room():
    inside = defaultdict(set)
    for module, used in ours():
        if room(module) == room(used):
            inside[module].add(used)
    TopologicalSorter(inside).prepare()  # raises CycleError, which names the modules


def test_each_library_has_its_room():
    for module, path in modules():
        for used in imports(path):
            rooms = ONLY_HERE.get(used.split(".")[0])
            assert not rooms or module.startswith(rooms), f"{module} must not import {used}"


def test_every_room_is_about_something():
    for module, path in modules():
        assert not NO_SUCH_ROOM & set(module.split(".")), f"{module}: name it by what it is about"
        if path.read_text().strip():
            assert ast.get_docstring(ast.parse(path.read_text())), f"{module} does not say what it is for"
