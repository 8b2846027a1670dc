"""Parlance: the page and the API on one port. Wiring only.

python app.py            # settings are the ASR_* variables that asr/config.py lists
python app.py --check    # would it start, and with what? exit code 0 or 1, with reasons
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import tempfile
import time
import warnings
from contextlib import suppress
from functools import partial
from math import inf
from queue import SimpleQueue

from asr import logs
from asr.config import Config
from asr.errors import ASRError, ConfigError

STALE = 86_400  # seconds after which nobody can be using a temporary file any more
M_ARENA_MAX, HEAPS = -8, 2  # glibc's malloc.h has the number


def main() -> int:
    """Serve until somebody stops it; returns the exit code."""
    if sys.argv[1:] not in ([], ["--check"]):
        print("usage: python app.py [--check]; everything else is set by ASR_* variables", file=sys.stderr)
        return 2
    stop: SimpleQueue = SimpleQueue()  # an Event's lock is not safe in a handler: it may be held already
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: stop.put(None))
    _share_heaps()
    try:
        config = Config.from_env()
        _work_in(config)
        if sys.argv[1:]:
            return check(config)
        logs.start(config.log, level=config.log_level)
        url, close = serve(config)
    except ASRError as e:
        print(f"{e.what}\n{e.fix}", file=sys.stderr)
        return 2
    from asr.api import policy

    print(f"Parlance is at {url}  (Ctrl+C stops it)\n{policy(config)}", flush=True)
    stop.get()
    close()
    return 0


def check(config: Config) -> int:
    """Whether the app would start here and serve; prints what it looked at, and the fixes."""
    from itertools import chain

    from asr import doctor, machine
    from asr.commands.doctor import told

    problems = told(chain(doctor.examine(config, machine.look()), doctor.obstacles(config)))
    print(f"\nProblems: {problems}." if problems else "\nIt would start.")
    return 1 if problems else 0


def serve(config: Config):
    """Open the port, then load the model behind it; returns the address, and what closes it all."""
    from asr import gate
    from asr.jobs import Quota, Store, Worker
    from asr.models import Models
    from asr.models.warmth import warm
    from asr.sessions import Sessions

    models, schedulers = Models(config, warm=warm), scheduling(config)
    store = Store(config.data_dir.resolve(), Quota.of(config))
    worker = Worker(tools(store, config, models, schedulers))
    sessions = Sessions(config, lambda spec, *rest: schedulers.get(models.awake(spec)).open(*rest))
    page, url = _launch(config, models, worker, _routes(config, models, worker, schedulers, sessions))
    gate.tighten(page.server.config, config)
    _forget_quickly()
    models.start()
    worker.start()

    def close() -> None:
        page.close(verbose=False)  # its files go with it
        worker.close()
        store.close()
        sessions.close()
        schedulers.close()

    return url, close


def scheduling(config: Config):
    """Who shares the models' time between live speech and recordings."""
    from asr import spare
    from asr.live.pace import paced
    from asr.scheduler import Schedulers

    return Schedulers(
        max_streams=config.live_sessions,
        most_behind=config.live_behind_minutes * 60 or inf,
        pace=paced(config),
        admit=partial(spare.admit, config),
    )


def tools(store, config: Config, models, schedulers):
    """What recordings from the page are made with; like those from the API they give way to live speech."""
    from asr import zerogpu
    from asr.jobs import Tools

    return Tools(store, config, *zerogpu.parts(lambda spec: schedulers.get(models.get(spec)).files, config))


def _routes(config: Config, models, worker, schedulers, sessions) -> list:
    """All addresses but Gradio's own."""
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    from asr import api
    from asr.gate import origins
    from ui import editor, live, perfect, recordings, theme

    return [
        Mount(f"/{theme.URL}", StaticFiles(directory=theme.ASSETS)),
        *live.routes(sessions, models, config),
        *recordings.routes(worker, config, origins.admit),
        *editor.routes(worker, origins.admit),
        *perfect.routes(sessions, worker, origins.admit),
        *api.routes(config, models, schedulers, sessions, lambda state: len(worker.store.jobs(state=state))),
    ]


def _launch(config: Config, models, worker, routes: list):
    """The page on its port, behind the gate, and its address."""
    import ui
    from asr import gate
    from ui import costs, health, live, recording, recordings, theme

    tabs = {
        "live": live.tab,
        "recording": partial(recording.tab, worker=worker),
        "recordings": recordings.tab,
    }
    # Gradio 6 has another word for it, which 5 does not know
    warnings.filterwarnings("ignore", "Setting 'api_name=False'", DeprecationWarning)
    page = ui.build(models, config, tabs, {"configuration": health.tab, "costs": costs.tab})
    os.environ["FORWARDED_ALLOW_IPS"] = config.proxies  # uvicorn's name for it
    try:
        _, url, _ = page.launch(
            server_name=config.host,
            server_port=config.port,
            max_file_size=config.max_upload_mb * 2**20,
            favicon_path=theme.ASSETS / "logo.svg",
            app_kwargs={"routes": routes, "lifespan": gate.closed(config, routes)},
            ssr_mode=False,  # that page is not the one which ui.theme dresses
            share=False,
            pwa=False,  # its address is one that asr.gate does not let in
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as e:
        what = f"Port {config.port} of {config.host} cannot be opened: {e}"
        raise ConfigError(what, "Is it in use? Choose another, for example ASR_PORT=7861.") from None
    return page, url


def _share_heaps() -> None:
    """glibc gives each of our many threads a heap and keeps what was freed there: two for all take much less.

    Measured with `python -m asr bench soak`. Other C libraries have no such heaps and no `mallopt`.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, HEAPS)


def _forget_quickly() -> None:
    """Gradio's hundred thousands of objects never go: who looks for garbage need not look at them."""
    gc.collect()
    gc.freeze()


def _work_in(config: Config) -> None:
    """Uploads and decoded audio go below data_dir: on one disk, a finished upload needs no second copy."""
    folder = config.data_dir.resolve() / "tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        what = f"The folder {folder} cannot be made: {e.strerror}."
        raise ConfigError(what, "Set ASR_DATA_DIR to a folder that can be written.") from None
    for left in folder.rglob("*"):  # by a server that was killed
        if left.is_file() and time.time() - left.stat().st_mtime > STALE:
            left.unlink(missing_ok=True)
    tempfile.tempdir = str(folder)
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "page")


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # an engine's native threads abort an interpreter that is taken down around them
