"""The LSTM language model in torch, its weights one flat vector.

The network is the standard one of federated next-word prediction: embedding, LSTM, a dense
projection to embedding size, and the vocabulary (Hard et al. 2018, arXiv 1811.03604, section 3;
Reddi et al. 2020, arXiv 2003.00295, appendix C.3, from whom the projection comes). To the embedding
of the word before, that of the mark after it is added.

All parameters are views of `flat` (float32, shape (n,)): setting, subtracting and averaging whole
models is one vector operation each.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nwp.model.config import ModelConfig

FloatArray = npt.NDArray[np.float32]


class _Unset:
    """A layer that draws no weights: torch's would take 50 ms, and nobody asked for them."""

    def reset_parameters(self) -> None:
        """Leave memory as it is."""


class _Embedding(_Unset, nn.Embedding):
    pass


class _Lstm(_Unset, nn.LSTM):
    pass


class _Linear(_Unset, nn.Linear):
    pass


class NextWordModel(nn.Module):
    """Predicts the next word of a message from the words and marks before it.

    All weights are 0 until `initialize`, `set_weights` or `set_tensors`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = _Embedding(config.vocabulary, config.embedding)
        self.mark = _Embedding(config.marks, config.embedding) if config.marks else None
        self.lstm = _Lstm(config.embedding, config.hidden, config.layers, batch_first=True)
        self.proj = _Linear(config.hidden, config.projection)
        self.out = _Linear(config.projection, config.outputs)
        if config.tied:
            del self.out.weight  # the embedding's rows take its place
        self.flat = self._flatten()

    def _flatten(self) -> Tensor:
        """Move every parameter into one vector of zeros, of which it becomes a view."""
        named = list(self.named_parameters())
        flat = torch.zeros(sum(p.numel() for _, p in named))
        start = 0
        for _, parameter in named:
            stop = start + parameter.numel()
            parameter.data = flat[start:stop].view(parameter.shape)
            start = stop
        return flat

    def initialize(self, seed: int) -> None:
        """Draw start weights: small embeddings, LSTM and dense layers as torch's defaults, by seed."""
        generator = torch.Generator().manual_seed(seed)
        bound = self.config.hidden**-0.5
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name.startswith("embed"):
                    parameter.normal_(0, 0.1, generator=generator)
                elif name.startswith(("mark", "out.bias")):
                    parameter.zero_()
                elif name.startswith("out"):
                    parameter.normal_(0, self.config.projection**-0.5, generator=generator)
                else:
                    parameter.uniform_(-bound, bound, generator=generator)

    def hidden(
        self, inputs: Tensor, marks: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """The projected state at each position: int64 (B, T) and (B, T) to float32 (B, T, projection).

        With a generator, dropout is applied and draws from it.
        """
        x = self.embed(inputs)
        if self.mark is not None:
            x = x + self.mark(marks)
        states = self.lstm(self._drop(x, generator))[0]
        projected: Tensor = self._drop(self.proj(states), generator)
        return projected

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of the words that can be predicted: (..., projection) to (..., outputs)."""
        weight = (
            self.embed.weight[self.config.first_output :] if self.config.tied else self.out.weight
        )
        return F.linear(hidden, weight, self.out.bias)

    def loss(
        self,
        inputs: Tensor,
        marks: Tensor,
        targets: Tensor,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Mean cross-entropy in nats over real targets; a target below `first_output` is padding.

        All arguments are int64 (B, T).
        """
        real = (targets >= self.config.first_output).reshape(-1).nonzero().squeeze(1)
        states = self.hidden(inputs, marks, generator).reshape(-1, self.config.projection)
        wanted = targets.reshape(-1)[real] - self.config.first_output
        return F.cross_entropy(self.logits(states[real]), wanted)

    def _drop(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Dropout that takes its randomness from the generator (torch's own takes the global one)."""
        rate = self.config.dropout
        if generator is None or rate == 0:
            return x
        kept = torch.rand(x.shape, generator=generator) >= rate
        return x * kept / (1 - rate)

    def set_weights(self, flat: FloatArray | Tensor) -> None:
        """Take over a flat vector of weights, shape (n,)."""
        with torch.no_grad():
            self.flat.copy_(torch.as_tensor(flat))

    def weights(self) -> FloatArray:
        """A copy of the flat vector of weights."""
        copied: FloatArray = self.flat.numpy().copy()
        return copied

    def tensors(self) -> dict[str, FloatArray]:
        """The weights by name, for a file."""
        return {n: p.detach().numpy().copy() for n, p in self.named_parameters()}

    def set_tensors(self, tensors: Mapping[str, FloatArray]) -> None:
        """Take over weights by name; ValueError when names or shapes differ from the model's."""
        mine = dict(self.named_parameters())
        if set(tensors) != set(mine):
            raise ValueError(f"weights are named {sorted(tensors)}, the model's {sorted(mine)}")
        for name, parameter in mine.items():
            if tuple(tensors[name].shape) != tuple(parameter.shape):
                raise ValueError(f"{name} has shape {tensors[name].shape}, not {parameter.shape}")
            with torch.no_grad():
                parameter.copy_(torch.as_tensor(tensors[name]))
