"""A small pipeline for pyannote.audio: real segmentation weights (whisperx's), everything else random."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np

CONFIG = """
dependencies:
  pyannote.audio: 4.0.0
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    clustering: VBxClustering
    segmentation: $model/segmentation
    segmentation_batch_size: 8
    embedding: $model/embedding
    embedding_batch_size: 32
    embedding_exclude_overlap: true
    plda: $model/plda
params:
  clustering: {threshold: 0.6, Fa: 0.07, Fb: 0.8}
  segmentation: {threshold: 0.5, min_duration_off: 0.0}
"""
SIZE = 32  # numbers in an embedding


def small_pipeline(folder: Path) -> Path:
    """Fill `folder` with it: the layout of community-1."""
    for name in ("segmentation", "embedding", "plda"):
        (folder / name).mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG)
    weights = Path(find_spec("whisperx").origin).parent / "assets" / "pytorch_model.bin"
    shutil.copy(weights, folder / "segmentation" / "pytorch_model.bin")
    _embedding(folder / "embedding" / "pytorch_model.bin")
    rng = np.random.default_rng(0)
    lda = rng.standard_normal((SIZE, SIZE))
    np.savez(folder / "plda" / "xvec_transform.npz", mean1=np.zeros(SIZE), mean2=np.zeros(SIZE), lda=lda)
    psi = np.linspace(4, 1, SIZE)
    np.savez(folder / "plda" / "plda.npz", mu=np.zeros(SIZE), tr=np.eye(SIZE), psi=psi)
    return folder


def _embedding(path: Path) -> None:
    import torch
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.embedding import XVectorSincNet

    torch.manual_seed(0)
    model = XVectorSincNet(dimension=SIZE)
    about = {
        "versions": {"torch": torch.__version__, "pyannote.audio": "4.0.7"},
        "architecture": {"module": "pyannote.audio.models.embedding", "class": "XVectorSincNet"},
        "specifications": Specifications(
            problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=5.0, classes=[]
        ),
    }
    checkpoint = {
        "state_dict": model.state_dict(),
        "hyper_parameters": {"dimension": SIZE},
        "pytorch-lightning_version": "2.6.6",
        "pyannote.audio": about,
    }
    torch.save(checkpoint, path)
