"""Whisper, small, with the parameter names of transformers' WhisperForConditionalGeneration."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    width: int = 128
    heads: int = 4
    hidden: int = 512
    encoder_layers: int = 4
    decoder_layers: int = 3
    mels: int = 80
    positions: int = 1500
    tokens: int = 448
    vocabulary: int = 2082


Looks = tuple[Tensor, Tensor]  # a layer's supervised heads' queries and keys: window, head, place, width
SUPERVISED_HEADS = (0, 1)  # of every decoder layer; the last layer's become Whisper's alignment heads


def sinusoids(length: int, width: int) -> Tensor:
    rates = torch.exp(-math.log(10_000) / (width // 2 - 1) * torch.arange(width // 2))
    angles = torch.arange(length)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Attention(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.heads = shape.heads
        self.k_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.width)
        self.q_proj = nn.Linear(shape.width, shape.width)
        self.out_proj = nn.Linear(shape.width, shape.width)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor, memory: Tensor, causal: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Also the queries and keys."""
        q, k, v = (
            self._split(self.q_proj(x)),
            self._split(self.k_proj(memory)),
            self._split(self.v_proj(memory)),
        )
        if max(q.shape[2], k.shape[2]) <= 500 and not causal:
            heard = (q * q.shape[-1] ** -0.5 @ k.mT).softmax(
                -1, dtype=q.dtype
            ) @ v  # faster backwards than the next line
        else:
            heard = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return self.out_proj(heard.transpose(1, 2).flatten(2)), q, k


class EncoderLayer(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.self_attn = Attention(shape)
        self.self_attn_layer_norm = nn.LayerNorm(shape.width)
        self.fc1 = nn.Linear(shape.width, shape.hidden)
        self.fc2 = nn.Linear(shape.hidden, shape.width)
        self.final_layer_norm = nn.LayerNorm(shape.width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.self_attn_layer_norm(x)
        x = x + self.self_attn(y, y)[0]
        return x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))


class DecoderLayer(EncoderLayer):
    def __init__(self, shape: Shape):
        super().__init__(shape)
        self.encoder_attn = Attention(shape)
        self.encoder_attn_layer_norm = nn.LayerNorm(shape.width)

    def forward(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Looks]:
        y = self.self_attn_layer_norm(x)
        x = x + self.self_attn(y, y, causal=True)[0]
        # All answers to a window ask it together.
        heard, q, k = self.encoder_attn(
            self.encoder_attn_layer_norm(x).view(len(memory), -1, x.shape[-1]), memory
        )
        x = x + heard.view(x.shape)
        looks = q[:, SUPERVISED_HEADS], k[:, SUPERVISED_HEADS]
        return x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x)))), looks


class Encoder(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.conv1 = nn.Conv1d(shape.mels, shape.width, 3, padding=1)
        self.conv2 = nn.Conv1d(shape.width, shape.width, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding.from_pretrained(sinusoids(shape.positions, shape.width))
        self.layers = nn.ModuleList(EncoderLayer(shape) for _ in range(shape.encoder_layers))
        self.layer_norm = nn.LayerNorm(shape.width)

    def forward(self, mel: Tensor, offset: Tensor) -> Tensor:
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)
        x = x + self.embed_positions(offset[:, None] + torch.arange(x.shape[1]))
        for layer in self.layers:
            x = layer(x)
        return self.layer_norm(x)


class Decoder(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.embed_positions = nn.Embedding(shape.tokens, shape.width)
        self.layers = nn.ModuleList(DecoderLayer(shape) for _ in range(shape.decoder_layers))
        self.layer_norm = nn.LayerNorm(shape.width)

    def forward(self, tokens: Tensor, memory: Tensor) -> tuple[Tensor, list[Looks]]:
        x = self.embed_tokens(tokens) + self.embed_positions.weight[: tokens.shape[1]]
        attended = []
        for layer in self.layers:
            x, looks = layer(x, memory)
            attended.append(looks)
        return self.layer_norm(x), attended


class EncoderDecoder(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.encoder, self.decoder = Encoder(shape), Decoder(shape)


class Whisper(nn.Module):
    def __init__(self, shape: Shape = Shape()):
        super().__init__()
        self.model = EncoderDecoder(shape)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv1d):
                nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for layer in [*self.model.encoder.layers, *self.model.decoder.layers]:
            nn.init.zeros_(layer.self_attn.out_proj.weight)
            nn.init.zeros_(layer.fc2.weight)
            if isinstance(layer, DecoderLayer):
                nn.init.zeros_(layer.encoder_attn.out_proj.weight)
        embeddings = self.model.decoder.embed_tokens.weight
        nn.init.normal_(embeddings, std=0.02)
        nn.init.normal_(self.model.decoder.embed_positions.weight, std=0.02)
        with (
            torch.no_grad()
        ):  # time stamps begin as the encoder's code of the same position: readable at once
            embeddings[-shape.positions - 1 :] = sinusoids(shape.positions + 1, shape.width) * 0.06

    def forward(
        self, mel: Tensor, offset: Tensor, tokens: Tensor, learn_encoder: bool = True
    ) -> tuple[Tensor, Tensor, list[Looks]]:
        """The decoder's states, the encoder's, and the supervised heads of every decoder layer.
        Tokens may hold several answers to each window, one after another."""
        with torch.set_grad_enabled(learn_encoder and torch.is_grad_enabled()):
            memory = self.model.encoder(mel, offset)
        states, attended = self.model.decoder(tokens, memory)
        return states, memory, attended

    def logits(self, states: Tensor) -> Tensor:
        return states @ self.model.decoder.embed_tokens.weight.T

    def load(self, state: dict[str, Tensor]) -> None:
        """Also from a shallower network: its layers go to both ends, and new ones between do nothing."""
        for part in ("encoder", "decoder"):
            state = spread(state, f"model.{part}.layers.", len(getattr(self.model, part).layers))
        missing, unexpected = self.load_state_dict(state, strict=False)
        assert not unexpected and all(".layers." in name for name in missing), (missing, unexpected)


def spread(state: dict[str, Tensor], prefix: str, layers: int) -> dict[str, Tensor]:
    count = 1 + max(int(name.removeprefix(prefix).split(".")[0]) for name in state if name.startswith(prefix))
    result = {}
    for name, value in state.items():
        if name.startswith(prefix):
            index, rest = name.removeprefix(prefix).split(".", 1)
            index = int(index) if int(index) < count - 1 else layers - 1
            name = f"{prefix}{index}.{rest}"
        result[name] = value
    return result
