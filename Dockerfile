# Parlance on a GPU box or a plain server:  docker build -t parlance .  &&  docker run -p 7860:7860 --gpus all parlance
FROM python:3.11-slim

# pip's wheels carry FFmpeg, CUDA's cuBLAS and cuDNN (through torch): nothing else comes from the system.
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 ASR_HOST=0.0.0.0 ASR_DATA_DIR=/data HF_HOME=/data/models
RUN useradd --create-home --uid 1000 parlance && install -d -o parlance /data
WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY --chown=parlance . .
USER parlance
VOLUME /data
EXPOSE 7860
CMD ["python", "app.py"]
