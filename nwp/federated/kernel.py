"""One step of local training by hand: the few matrix products that the gradient is.

The same mathematics as autograd over `nwp.model.lstm` (a test holds it to that), without its waste:

- Next to nothing but real words is computed. A batch is packed by position: first the first word of
  each message, the longest message first, then the second words, and so on (`Packed`). Each step of
  the LSTM is one product over the messages that are still going on. Behind the words come up to 15
  rows of no message, whose states and gradients are 0.
- The gradient of a matrix is one product of what came in and what flows back, and is added to the
  weights (or to a sum over users) as it is formed: gradients are not kept, copied or zeroed.
- The vocabulary's probabilities, their gradient and the loss come from one pass over the scores.

In bf16, products read bfloat16 and add up in float32 inside (as the CPU's instructions do); weights,
cell states, gates and sums stay float32.

All of it lies on the kernel's device. What is given (weights, messages, corrections) may lie in the CPU's
memory; what is drawn for dropout is drawn there, so that every device drops the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nwp.errors import BadSettings
from nwp.federated.device import here, moved
from nwp.federated.dropout import Draws, draws_of, masks_of
from nwp.federated.packing import Packed
from nwp.federated.products import add_clipped, linear, outer, reordered
from nwp.model.config import ModelConfig

PRECISIONS = ("fp32", "bf16")
_BLOCK = 1024  # words whose scores over the vocabulary are in memory at once
_CACHED = 1 << 19  # weights that are changed at once: they stay in the cache for the next use


@dataclass(frozen=True)
class Piece:
    """Part of a gradient, of the weights `name`: leftᵀ right; or, without `right`, the sum of left's
    rows; or, with `ids`, left's rows each at its id."""

    name: str
    left: Tensor
    right: Tensor | None = None
    ids: Tensor | None = None

    def add_to(
        self,
        target: Mapping[str, Tensor],
        first_output: int,
        alpha: float,
        copies: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Add alpha times this to the weights, or a gradient's sum, of that name. What is changed is
        written to `copies` too, where there is one of that name."""
        into, copy = target[self.name], (copies or {}).get(self.name)
        if self.ids is not None:
            into.index_add_(0, self.ids, self.left, alpha=alpha)
            if copy is not None:
                copy.index_copy_(0, self.ids, into.index_select(0, self.ids).to(copy.dtype))
        elif self.right is None:
            into.add_(self.left.sum(0, dtype=torch.float32), alpha=alpha)
        else:
            if self.name == "embed.weight":
                into = into[first_output:]
                copy = None if copy is None else copy[first_output:]
            rows = max(1, _CACHED // into.shape[1])
            for start in range(0, len(into), rows):
                part = slice(start, start + rows)
                into[part].add_(outer(self.left[:, part], self.right), alpha=alpha)
                if copy is not None:
                    copy[part].copy_(into[part])


class Kernel:
    """The model's weights, `flat` (float32 (n,)), and steps from them, on a device: the one that was
    chosen for this process, if none is given. Used by one thread."""

    def __init__(
        self, config: ModelConfig, precision: str = "fp32", device: torch.device | None = None
    ) -> None:
        if precision not in PRECISIONS:
            raise BadSettings(f"no precision {precision!r}", f"It is one of {PRECISIONS}.")
        self.config = config
        self._type = torch.float32 if precision == "fp32" else torch.bfloat16
        self.device = device or here()
        self.flat = torch.zeros(config.parameters, device=self.device)
        self.weights = named_views(self.flat, config)
        self._gradient: Tensor | None = None
        self._given = self._received = self.flat
        self._of_received: dict[str, Tensor] = {}
        self._copies: dict[str, Tensor] = {}  # of the weights, in the type that products read
        if precision == "bf16":
            names = [n for n, w in self.weights.items() if w.dim() == 2 and n != "mark.weight"]
            if not config.tied:
                names.remove("embed.weight")
            self._copies = {n: torch.empty_like(self.weights[n], dtype=self._type) for n in names}
        self._read: dict[str, Tensor] = {}  # what products read

    def load(self, flat: Tensor) -> None:
        """Take over weights, float32 (n,), which stay as they are while they are in use here; what
        later steps may be pulled back to."""
        if flat is not self._given or not self._of_received:
            self._given, self._received = flat, moved(flat, self.device)
            views = named_views(self._received, self.config)
            read = {n: views[n].to(self._type) for n in self._copies} if self._copies else views
            for layer in range(self.config.layers):
                read.update(self._recurrent(layer, read))
            self._of_received = read
        self.flat.copy_(self._received)
        self._read = dict(self._of_received)

    @property
    def received(self) -> Tensor:
        """The weights that were taken over last, on the device."""
        return self._received

    def trained(self) -> Tensor:
        """The weights as they are now, in the CPU's memory: on the CPU these themselves, not a copy."""
        return self.flat.cpu()

    def _recurrent(self, layer: int, read: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights from state to state, laid out for many small products forward and back."""
        weight = read[f"lstm.weight_hh_l{layer}"]
        back = weight.t()
        if self._type != torch.float32:  # in float32 it is as fast as it is
            back = reordered(back.contiguous())
        return {f"forward {layer}": reordered(weight), f"back {layer}": back}

    def step(
        self,
        batch: Packed,
        learning_rate: float,
        clip_norm: float = 0.0,
        generator: torch.Generator | None = None,
        proximal: float = 0.0,
        correction: Tensor | None = None,
        more: Sequence[Packed] = (),
        *,
        last: bool = False,
    ) -> Tensor:
        """One step of SGD on the batch's mean loss; gives that loss, in nats, before the step: float32 ()
        on the device, so that nobody need wait for it.

        A gradient longer than `clip_norm` (L2; 0: never) is scaled to it. With a generator, dropout
        is applied and draws from it. `proximal` times the way back to the weights received is
        added to the gradient (FedProx), and so is `correction`, float32 (n,) (SCAFFOLD); clipping
        concerns neither. `more` is the rest of a batch that is too large to be computed at once.
        After the `last` step before another `load`, nothing is made ready for a next one.
        """
        parts = [part.on(self.device) for part in (batch, *more)]
        sizes = [len(part.targets) for part in parts]
        losses = torch.empty(sum(sizes), device=self.device)
        first = self.config.first_output
        if correction is not None:
            correction = moved(correction, self.device)
        each = torch.split(losses, sizes)
        pieces = (
            piece
            for part, its in zip(parts, each, strict=True)
            for piece in self.backward(part, 1 / len(losses), its, draws_of(generator, part))
        )
        pulled = proximal != 0 or correction is not None
        if clip_norm == 0 and not pulled and not more and len(losses) <= _BLOCK:
            for piece in pieces:
                piece.add_to(self.weights, first, -learning_rate, None if last else self._copies)
                if not last:
                    self._made_ready(piece.name)
            return losses.mean()
        if clip_norm or more:
            if self._gradient is None:
                self._gradient = torch.empty_like(self.flat)
            gradient = self._gradient.zero_()
            views = named_views(gradient, self.config)
            for piece in pieces:
                piece.add_to(views, first, 1.0)
            self._pull(learning_rate, proximal, correction)
            add_clipped(self.flat, gradient, -learning_rate, clip_norm)
        else:
            kept = list(pieces)
            self._pull(learning_rate, proximal, correction)
            for piece in kept:
                piece.add_to(self.weights, first, -learning_rate)
        for name in () if last else self.weights:
            if name in self._copies:
                self._copies[name].copy_(self.weights[name])
            self._made_ready(name)
        return losses.mean()

    def _pull(self, learning_rate: float, proximal: float, correction: Tensor | None) -> None:
        """What is added to the gradient besides the batch's own."""
        if proximal:
            self.flat.lerp_(self._received, learning_rate * proximal)
        if correction is not None:
            self.flat.add_(correction, alpha=-learning_rate)

    def _made_ready(self, name: str) -> None:
        """The next products read the weights `name` as they are now."""
        self._read[name] = self._copies.get(name, self.weights[name])
        if name.startswith("lstm.weight_hh"):
            self._read.update(self._recurrent(int(name.rpartition("_l")[2]), self._read))

    def backward(
        self,
        batch: Packed,
        scale: float | Tensor,
        losses: Tensor,
        draws: Sequence[Draws] = (),
    ) -> Iterator[Piece]:
        """The gradient of the sum over words of scale times loss, piece by piece.

        `scale` is one number or one a word, float32 (N,); each word's loss is written to `losses`,
        float32 (N,); both, and the batch, are on the kernel's device. With `draws`, which are of all
        messages or none, dropout is applied. A piece may be added to the weights as it comes, since
        nothing later reads them, if all words are one block.
        """
        config, read = self.config, self._read
        masks = masks_of(batch, config, draws)
        before = batch.before
        passed, projected = self._ahead(batch, masks)
        x = passed[-1].states
        flow = torch.empty_like(projected)
        yield from self._vocabulary(batch, scale, projected, flow, losses)
        if masks:
            flow = (flow * masks[1]).to(self._type)
        back = torch.mm(flow, read["proj.weight"])
        yield Piece("proj.bias", flow)
        yield Piece("proj.weight", flow, x)
        flow = back
        for layer in reversed(range(config.layers)):
            gates = self._back(layer, flow, passed[layer], batch.sizes, before)
            flow = torch.mm(gates, read[f"lstm.weight_ih_l{layer}"])
            yield from _lstm_pieces(layer, gates, passed[layer], before)
        flow = flow.float()
        if masks:
            flow *= masks[0]
        yield Piece("embed.weight", flow, ids=batch.inputs)
        if config.marks:
            yield Piece("mark.weight", flow, ids=batch.marks)

    def project(self, batch: Packed) -> Tensor:
        """What the model makes of each word's place, before the vocabulary: (N, projection), in the
        type that products read."""
        return self._ahead(batch.on(self.device), None)[1][: batch.words]

    def _ahead(
        self, batch: Packed, masks: tuple[Tensor, Tensor] | None
    ) -> tuple[list[_Passed], Tensor]:
        """All layers forward: what each keeps, and the projected states of the last."""
        x = self.weights["embed.weight"].index_select(0, batch.inputs)
        if self.config.marks:
            x += self.weights["mark.weight"].index_select(0, batch.marks)
        if masks:
            x *= masks[0]
        x = x.to(self._type)
        passed = []
        for layer in range(self.config.layers):
            passed.append(self._forward(layer, x, batch.sizes))
            x = passed[-1].states
        projected = torch.mm(x, self._read["proj.weight"].t())
        projected += self.weights["proj.bias"].to(self._type)
        if masks:
            projected = (projected * masks[1]).to(self._type)
        return passed, projected

    def _vocabulary(
        self, batch: Packed, scale: float | Tensor, projected: Tensor, flow: Tensor, losses: Tensor
    ) -> Iterator[Piece]:
        """Scores, their softmax, loss and gradient; what flows back to `projected` goes to `flow`."""
        name = "embed.weight" if self.config.tied else "out.weight"
        weight = self._read[name]
        if self.config.tied:
            weight = weight[self.config.first_output :]
        bias = self.weights["out.bias"].to(self._type)
        targets = batch.targets - self.config.first_output
        outputs = self.config.outputs
        scales = torch.zeros(len(projected), 1, dtype=self._type, device=self.device)
        scales[: batch.words, 0] = scale
        # A word's scale is put on its projection's side of each product, which is the smaller one.
        scaled = projected * scales
        for start in range(0, len(projected), _BLOCK):
            part = slice(start, start + _BLOCK)
            expected = targets[part]
            scores = linear(projected[part], weight, bias)
            chances = torch.softmax(scores, 1, out=scores)
            right = torch.arange(len(expected), device=self.device) * outputs + expected
            each = chances.view(-1)
            losses[part] = -each[right].float().clamp_min(1e-38).log()
            ones = torch.ones(len(right), dtype=self._type, device=self.device)
            each.index_add_(0, right, ones, alpha=-1)
            flow[part] = linear(chances, weight.t())
            yield Piece(name, chances, scaled[part])
            yield Piece("out.bias", torch.mm(scales[part].t(), chances).float())
        flow *= scales

    def _forward(self, layer: int, x: Tensor, sizes: tuple[int, ...]) -> _Passed:
        """One layer over all positions; x is (N, width), what it keeps is by word too."""
        hidden = self.config.hidden
        weight = self._read[f"forward {layer}"]
        bias = self.weights[f"lstm.bias_ih_l{layer}"] + self.weights[f"lstm.bias_hh_l{layer}"]
        gates = torch.mm(x, self._read[f"lstm.weight_ih_l{layer}"].t()).float()
        gates += bias
        cells, squashed = torch.empty(2, len(x), hidden, device=self.device)
        states = torch.empty(len(x), hidden, dtype=self._type, device=self.device)
        states[sum(sizes) :] = 0
        # Views are made for all positions at once: one by one they would take longer than the sums.
        gate_at, reads_at = _split(gates, sizes), _split(gates[:, : 2 * hidden], sizes)
        read, forget, new, show = (_split(part, sizes) for part in gates.chunk(4, 1))
        cell_at, squashed_at, state_at = (_split(v, sizes) for v in (cells, squashed, states))
        for t, size in enumerate(sizes):
            cell = cell_at[t]
            if t:
                gate_at[t].add_(linear(state_at[t - 1].narrow(0, 0, size), weight))
            reads_at[t].sigmoid_()
            new[t].tanh_()
            show[t].sigmoid_()
            torch.mul(read[t], new[t], out=cell)
            if t:
                cell.addcmul_(forget[t], cell_at[t - 1].narrow(0, 0, size))
            torch.tanh(cell, out=squashed_at[t])
            torch.mul(show[t], squashed_at[t], out=state_at[t])
        return _Passed(x, gates, cells, squashed, states)

    def _back(
        self, layer: int, flow: Tensor, passed: _Passed, sizes: tuple[int, ...], before: Tensor
    ) -> Tensor:
        """The gradient at the gates' sums, (N, 4 hidden), of one at the states (N, hidden)."""
        weight = self._read[f"back {layer}"]
        flow = flow.float()
        read, forget, new, show = passed.gates.chunk(4, 1)
        # All that does not wait for the next position is done for all positions at once.
        to_cell = show * (1 - passed.squashed * passed.squashed)
        to_gates = torch.empty_like(passed.gates)
        by_read, by_forget, by_new, by_show = to_gates.chunk(4, 1)
        torch.mul(new * read, 1 - read, out=by_read)
        by_forget[: sizes[0]] = 0
        later = forget[sizes[0] :]
        torch.mul(
            passed.cells.index_select(0, before) * later, 1 - later, out=by_forget[sizes[0] :]
        )
        torch.mul(read, 1 - new * new, out=by_new)
        torch.mul(passed.squashed * show, 1 - show, out=by_show)
        found = torch.empty_like(to_gates, dtype=self._type)
        found[sum(sizes) :] = 0
        flow_at, to_cell_at, forget_at = (_split(v, sizes) for v in (flow, to_cell, forget))
        found_at = _split(found, sizes)
        inner, inner_found = (v.view(len(flow), 4, -1) for v in (to_gates, found))
        inner_at, show_at = _split(inner[:, :3], sizes), _split(inner[:, 3], sizes)
        inner_out, show_out = _split(inner_found[:, :3], sizes), _split(inner_found[:, 3], sizes)
        cell_after = flow
        for t in reversed(range(len(sizes))):
            state, more = flow_at[t], t + 1 < len(sizes)
            if more:
                state.narrow(0, 0, sizes[t + 1]).add_(linear(found_at[t + 1], weight))
            cell = state * to_cell_at[t]
            if more:
                cell.narrow(0, 0, sizes[t + 1]).addcmul_(cell_after, forget_at[t + 1])
            torch.mul(inner_at[t], cell.unsqueeze(1), out=inner_out[t])
            torch.mul(show_at[t], state, out=show_out[t])
            cell_after = cell
        return found


@dataclass(frozen=True)
class _Passed:
    """What a layer computed on its way forward, by word."""

    inputs: Tensor
    gates: Tensor
    cells: Tensor
    squashed: Tensor
    states: Tensor


def named_views(flat: Tensor, config: ModelConfig) -> dict[str, Tensor]:
    """The weights by name as views of one vector."""
    shapes = config.shapes()
    parts = torch.split(flat, [math.prod(shape) for shape in shapes.values()])
    return {n: part.view(s) for (n, s), part in zip(shapes.items(), parts, strict=True)}


def _split(values: Tensor, sizes: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Views of the rows of each position."""
    return torch.split_with_sizes(values[: sum(sizes)], sizes)


def _lstm_pieces(layer: int, gates: Tensor, passed: _Passed, before: Tensor) -> Iterator[Piece]:
    yield Piece(f"lstm.bias_ih_l{layer}", gates)
    yield Piece(f"lstm.bias_hh_l{layer}", gates)
    yield Piece(f"lstm.weight_ih_l{layer}", gates, passed.inputs)
    if len(before):
        after = gates[len(gates) - len(before) :]
        yield Piece(f"lstm.weight_hh_l{layer}", after, passed.states.index_select(0, before))
