"""What the editor shows of a recording: its text with all edits, as JSON, whole or only what changed.

desk = Desk(store)
now = desk.now(id)
shown(now)                     # the whole document
news(desk.then(id, 7), now)    # what differs from what a page has that is at revision 7
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

from asr import edits
from asr.errors import UnknownJob
from asr.jobs import Job, Store
from asr.speakers import names
from asr.text.wording import words
from asr.types import Segment, Transcript, Turn, Word
from ui.language import sentence
from ui.render import model_name
from ui.report import told_apart
from ui.revised import retold, revised

UNSURE = 0.5  # probability below which a word is marked
REMEMBERED = 24  # edited transcripts; they share most of their lines


@dataclass(frozen=True)
class Edited:
    """A recording's text at one revision."""

    job: Job
    base: Transcript  # what was recognised
    operations: Sequence[dict]
    transcript: Transcript
    turns: Sequence[Turn] = ()  # as the diarization heard them
    redo: int = 0  # operations that can be brought back
    live: int = 0  # the version that was written while people spoke; 0 where there is none
    revised: frozenset = frozenset()  # words that it had not: (start, word)

    @cached_property
    def speakers(self) -> list[str | None]:
        """Each in a place that lasts, so in a colour that lasts; None where one was merged into another."""
        first = [*names(self.base.segments), *(t.speaker for t in self.turns)]
        places = edits.cast(dict.fromkeys(first), self.operations)
        return places + [n for n in names(self.transcript.segments) if n not in places]

    @cached_property
    def heard(self) -> list[tuple[float, float, int]]:
        """Whose voice was heard when: start, end, place of the speaker. They overlap."""
        turns = edits.heard(self.turns, self.operations)
        return [(round(t.start, 2), round(t.end, 2), self.place(t.speaker)) for t in turns]

    def place(self, speaker: str | None) -> int:
        """Of the speaker; -1 for nobody."""
        return -1 if speaker is None else self._places.get(speaker, -1)

    @cached_property
    def _places(self) -> dict[str | None, int]:
        return {name: i for i, name in enumerate(self.speakers)}


class Desk:
    """The texts that are being edited, kept in memory so that an edit costs no replay. For any thread."""

    def __init__(self, store: Store):
        self.store = store
        self._kept: OrderedDict[tuple[str, int], Edited] = OrderedDict()
        self._lock = Lock()

    def now(self, id: str) -> Edited:
        """As it is now; raises UnknownJob."""
        while True:
            job = self._job(id)
            kept = self.then(id, job.revision)
            if kept and kept.job.version == job.version and not retelling(job):
                return kept if kept.job == job else _with(kept, job=job)
            made = self._made(job)
            if self.store.job(id).revision == job.revision:  # nobody changed it while we read
                return self._keep(made) if job.version and not retelling(job) else made

    def _job(self, id: str) -> Job:
        try:
            return self.store.job(id)
        except UnknownJob:  # deleted: nothing of it stays in memory
            with self._lock:
                for key in [k for k in self._kept if k[0] == id]:
                    del self._kept[key]
            raise

    def then(self, id: str, revision: int) -> Edited | None:
        """As it was at that revision, if that is still known."""
        with self._lock:
            return self._kept.get((id, revision))

    def _made(self, job: Job) -> Edited:
        store, operations = self.store, self.store.edits(job.id)
        before = self.then(job.id, job.revision - 1)
        redo = len(store.undone(job.id))
        live = next((v["version"] for v in store.versions(job.id) if v["stage"] == "live"), 0)
        if live and retelling(job):
            return self._retold(job, live)
        if before and before.job.version == job.version and operations[:-1] == before.operations:
            after = edits.apply(before.transcript, bare(operations[-1]))
            return _with(before, job=job, operations=operations, transcript=after, redo=redo)
        base = store.transcript(job.id)
        after = edits.replayed(base, map(bare, operations))
        found = store.diarization(job.id)
        new = revised(base, store.version(job.id, live)) if live not in (0, job.version) else frozenset()
        return Edited(job, base, operations, after, found.turns if found else (), redo, live, new)

    def _retold(self, job: Job, live: int) -> Edited:
        """As it is while the live text gives way, line by line, to what is recognised now."""
        before, heard = self.store.version(job.id, live), self.store.heard(job.id)
        base = retold(heard, before)
        new = revised(Transcript(tuple(heard), job.duration), before) if heard else frozenset()
        return Edited(job, base, (), base, live=live, revised=new)

    def _keep(self, edited: Edited) -> Edited:
        with self._lock:
            self._kept[edited.job.id, edited.job.revision] = edited
            while len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)
        return edited


def retelling(job: Job) -> bool:
    """Whether there is a text, and another one is being made."""
    return bool(job.version) and not job.over and job.stage in ("decode", "transcribe")


def _with(edited: Edited, **changes) -> Edited:
    fields = {name: getattr(edited, name) for name in Edited.__dataclass_fields__}
    return Edited(**fields | changes)


def bare(operation: dict) -> dict:
    """Without the name that the page gave it."""
    return {k: v for k, v in operation.items() if k != "id"}


# ---- as JSON ----


def shown(now: Edited) -> dict:
    """All of it."""
    return _facts(now) | {
        "speakers": now.speakers,
        "turns": now.heard,
        "lines": [_line(now, s) for s in now.transcript.segments],
    }


def news(then: Edited, now: Edited) -> dict:
    """What a page lacks that shows `then`: "lines" between its first "from" and its last "keep" lines.

    Where there are as many as there were, null stands for a line that did not change, and a number for
    one that only changed hands: the place of its speaker.
    """
    a, b = then.transcript.segments, now.transcript.segments
    most = min(len(a), len(b))

    def same(i: int, k: int) -> bool:
        return (a[i] is b[k] or a[i] == b[k]) and then.place(a[i].speaker) == now.place(b[k].speaker)

    head = next((n for n in range(most) if not same(n, n)), most)
    most -= head
    tail = next((n for n in range(most) if not same(-1 - n, -1 - n)), most)
    lines: list = [_line(now, s) for s in b[head : len(b) - tail]] if len(a) != len(b) else []
    for k in range(head, len(b) - tail) if len(a) == len(b) else ():
        lines.append(None if same(k, k) else _changed(_line(then, a[k]), _line(now, b[k])))
    fresh = {"speakers": now.speakers, "turns": now.heard}
    old = {"speakers": then.speakers, "turns": then.heard}
    changed = {name: value for name, value in fresh.items() if value != old[name]}
    return _facts(now) | changed | {"from": head, "keep": tail, "lines": lines}


def _facts(now: Edited) -> dict:
    return progress(now.job) | {
        "undo": len(now.operations),
        "redo": now.redo,
        "language": now.base.language,
        "live": now.live,
    }


def progress(job: Job) -> dict:
    """How it stands with the work."""
    by, better = told_apart(job)
    return {
        "name": job.name,
        "created": job.created,
        "state": job.state,
        "stage": job.stage,
        "progress": round(job.progress, 3),
        "duration": job.duration,
        "model": model_name(job.model) if job.model else "",
        "says": by,
        "better": better,
        "timed": sentence(job.timed),
        "damage": sentence(job.damage),
        "what": sentence(job.what),
        "fix": sentence(job.fix),
        "version": job.version,
        "revision": job.revision,
    }


def lines(now: Edited, first: int = 0) -> list[dict]:
    """The lines from number `first` on."""
    return [_line(now, s) for s in now.transcript.segments[first:]]


def _line(now: Edited, s: Segment) -> dict:
    """Times in seconds; a word is [text, start, end, 1 if it is doubtful + 2 if the live text had it not]."""

    def marks(w: Word) -> int:
        doubtful = w.probability is not None and w.probability < UNSURE
        return doubtful + 2 * ((w.start, w.word) in now.revised)

    said = [[w.word, round(w.start, 2), round(w.end, 2), marks(w)] for w in words(s)]
    line = {"start": round(s.start, 2), "end": round(s.end, 2), "who": now.place(s.speaker), "words": said}
    return line | ({"unsure": True} if s.unsure else {})


def _changed(old: dict, new: dict) -> dict | int:
    return new["who"] if old | {"who": new["who"]} == new else new
