# Parlance in a container: docs/deployment.md says how to run it.
#   docker build -t parlance .                                GPU: PyTorch's wheels bring CUDA's libraries
#   docker build -t parlance:cpu --build-arg DEVICE=cpu .     no CUDA, several GB smaller
ARG PYTHON=3.11
FROM python:${PYTHON}-slim AS build
ARG DEVICE=cuda
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
WORKDIR /build
COPY requirements.txt ./
# The CPU's PyTorch first: requirements.txt is content with it and asks for no other.
RUN case "$DEVICE" in \
      cpu) /venv/bin/pip install --index-url https://download.pytorch.org/whl/cpu \
             torch==2.8.0 torchaudio==2.8.0 torchvision==0.23.0 ;; \
      cuda) ;; \
      *) echo "DEVICE is cuda or cpu, not $DEVICE" >&2; exit 1 ;; \
    esac \
 && /venv/bin/pip install -r requirements.txt

FROM python:${PYTHON}-slim
# All that is written goes to /data: the root may be read-only, and one volume keeps models and recordings.
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/data/home HF_HOME=/data/models XDG_CACHE_HOME=/data/cache MPLCONFIGDIR=/data/cache/matplotlib \
    ASR_DATA_DIR=/data/recordings ASR_HOST=0.0.0.0 ASR_PORT=7860
RUN useradd --uid 1000 --home-dir /data/home --no-create-home parlance \
 && install -d -o parlance -g parlance /data /data/home /data/models /data/cache /data/recordings
COPY --from=build /venv /venv
WORKDIR /app
COPY app.py LICENSE ./
COPY asr asr
COPY ui ui
USER 1000
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"ASR_PORT\"]}/healthz', timeout=4)"]
# Stopped in order: recordings are parked, live sessions told.
STOPSIGNAL SIGTERM
CMD ["python", "app.py"]
