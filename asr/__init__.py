"""Parlance's engine room: speech in, text out. Importable without a web server or a model."""

import os

# Nobody is told that this runs: these report to their makers unless asked not to before they start.
for _name, _quiet in (
    ("ORT_DISABLE_TELEMETRY", "1"),  # onnxruntime, from 1.29 on, by itself and from native code
    ("PYANNOTE_METRICS_ENABLED", "0"),
    ("HF_HUB_DISABLE_TELEMETRY", "1"),
    ("GRADIO_ANALYTICS_ENABLED", "False"),
    ("RAY_USAGE_STATS_ENABLED", "0"),
):
    os.environ.setdefault(_name, _quiet)

# numpy multiplies small matrices here, in threads of ours: its own only wait for each other (`bench batch`:
# 10.9 s with them, 8.7 s without). The engines have theirs, which this does not count for.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
