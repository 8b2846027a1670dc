"""The house rules, as a test: a module imports only from the floors below its own."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
FLOORS = [
    {"asr.types", "asr.errors", "asr.languages", "asr.ahead"},
    {"asr.hub", "asr.sentences", "asr.logs"},
    {"asr.pieces", "asr.journal", "asr.seam"},
    {"asr.cues", "asr.document", "asr.wording"},
    {"asr.audio.pcm", "asr.audio.source"},
    {"asr.audio.recording", "asr.audio.demuxing", "asr.audio.encoding"},
    {"asr.audio.decoding"},
    {"asr.audio.channels"},
    {
        "asr.config", "asr.machine", "asr.audio", "asr.spans", "asr.formats", "asr.speakers",
        "asr.backends", "asr.guards"
    },
    {"asr.edits"},
    {"asr.cuts"},
    {"asr.backends.remote.refusals"},
    {
        "asr.backends.onnx.files", "asr.backends.onnx.languages", "asr.backends.onnx.words",
        "asr.backends.transformers.files", "asr.backends.transformers.device",
        "asr.backends.transformers.timing"
    },
    {
        "asr.backends.remote.answers", "asr.backends.remote.wire",
        "asr.backends.faster_whisper.segments", "asr.backends.faster_whisper.features"
    },
    {"asr.backends.remote.connection"},
    {"asr.align.weights"},
    {"asr.align.aligner"},
    {
        "asr.vad", "asr.backends.*", "asr.backends.faster_whisper.*", "asr.backends.onnx.*",
        "asr.backends.transformers.*", "asr.backends.remote.*", "asr.align", "asr.ice"
    },
    {"asr.diarize.answer", "asr.diarize.segmentation", "asr.diarize.voices"},
    {"asr.diarize.slots", "asr.diarize.channels", "asr.diarize.terms"},
    {"asr.diarize.clustering", "asr.diarize.resegmentation", "asr.diarize.apart"},
    {"asr.diarize.embedded", "asr.diarize.pyannote", "asr.diarize.rungs"},
    {"asr.diarize.process"},
    {"asr.diarize"},
    {
        "asr.catalogue", "asr.enrolment", "asr.windows", "asr.pauses", "asr.agreement", "asr.tape",
        "asr.endpoint", "asr.passes", "asr.turns", "asr.pace", "asr.tongue", "asr.batching"
    },
    {"asr.choice", "asr.pipeline", "asr.live"},
    {"asr.source", "asr.kept"},
    {"asr.session", "asr.stream"},
    {"asr.jobs.job", "asr.jobs.lock", "asr.jobs.quota"},
    {"asr.jobs.database", "asr.jobs.turns"},
    {"asr.jobs.rows"},
    {"asr.jobs.texts"},
    {"asr.jobs.changes"},
    {"asr.jobs.store"},
    {"asr.jobs.stages"},
    {"asr.jobs.worker"},
    {"asr.zerogpu"},
    {"asr.scheduler", "asr.models", "asr.jobs", "asr.sessions", "asr.doctor"},
    {"asr.api.errors", "asr.api.metrics", "asr.api.pcm", "asr.api.hearing", "asr.api.page"},
    {"asr.api.body", "asr.api.limits", "asr.api.schema", "asr.api.keys", "asr.api.names"},
    {
        "asr.api.upload", "asr.api.answers", "asr.api.settings", "asr.api.chunking", "asr.api.server",
        "asr.api.openapi"
    },
    {"asr.api.items", "asr.api.speakers", "asr.api.connection"},
    {"asr.api.events"},
    {"asr.api.rest"},
    {"asr.api.call", "asr.api.hub", "asr.api.stream"},
    {"asr.api.realtime"},
    {"asr.api.door"},
    {"asr.gate.paths", "asr.gate.rates"},
    {"asr.gate.origins", "asr.gate.login", "asr.gate.flow", "asr.gate.diary"},
    {"asr.gate.headers"},
    {"asr.gate"},
    {"asr.bench.words", "asr.bench.samples"},
    {"asr.bench.measures", "asr.bench.policies", "asr.bench.shapes"},
    {"asr.bench.replay"},
    {"asr.bench.live"},
    {
        "asr.bench", "asr.bench.*", "asr.api", "ui.render", "ui.theme", "ui.microphone", "ui.files",
        "ui.visitor", "ui.sound", "ui.revised"
    },
    {"ui.choices", "ui.edited"},
    {"ui.report"},
    {"ui.shelf"},
    {"ui.following"},
    {"asr.commands.progress", "asr.commands.writing"},
    {"asr.commands.stages"},
    {"asr.commands.recording", "asr.commands.wishes"},
    {"asr.batch.sources", "asr.batch.pace", "asr.cost"},
    {"asr.batch.manifest", "asr.batch.shelf", "asr.batch.filling"},
    {"asr.batch.together"},
    {"asr.batch.archive"},
    {"asr.batch", "asr.batch.*"},
    {"asr.bench.batch", "asr.bench.wer"},
    {"asr.commands", "asr.commands.*"},
    {"asr.__main__", "ui.*"},
    {"ui"},
    {"app"},
]
ONLY_HERE = {
    "gradio": ("ui", "app"),
    "fastrtc": ("ui",),
    "fastapi": ("asr.api", "app"),
    "av": ("asr.audio",),
    "faster_whisper": ("asr.backends.faster_whisper", "asr.bench"),
    "ctranslate2": ("asr.backends.faster_whisper", "asr.machine", "asr.bench"),
    "pocketsphinx": ("asr.backends.pocketsphinx",),
    "docx": ("asr.document",),
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


def floor(module: str) -> int:
    for name in (module, f"{module.rpartition('.')[0]}.*"):
        for i, rooms in enumerate(FLOORS):
            if name in rooms:
                return i
    raise AssertionError(f"{module} stands on no floor: give it one in FLOORS")


def imports(path: Path):
    known = {name for name, _ in modules()}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            whole = {f"{node.module}.{a.name}" for a in node.names}
            yield from (whole & known) or {node.module}
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names)


def test_imports_go_down_only():
    for module, path in modules():
        for used in imports(path):
            if used.split(".")[0] in ("asr", "ui", "app") and used not in ("asr", module):
                same_room = used.startswith(f"{module}.") or module.startswith(f"{used}.")
                assert floor(used) < floor(module) or same_room, f"{module} must not import {used}"


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
