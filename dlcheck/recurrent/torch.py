"""Recurrent layers in PyTorch, on the kernels of the library where it has them.

Drop-ins for ``torch.nn.RNN``, ``LSTM`` and ``GRU`` that also take lengths: of a sequence shorter than x the state stays
as it is after its last step, the output is zero beyond it, and the reverse direction starts at it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

State = Tensor | tuple[Tensor, ...]
Lengths = Int[Tensor, "N"]


class _Recurrent(torch.nn.RNNBase):
    """What the three layers share: arguments, lengths and the call of the kernel.

    Parameters have torch's names, and on a GPU they lie in one block of memory as the kernel there wants them.
    """

    kernel: Callable[..., tuple[Tensor, ...]]
    states: ClassVar[tuple[str, ...]] = ("h_0",)

    def forward(  # type: ignore[override]
        self, x: Float[Tensor, "*axes F"] | PackedSequence, state: State | None = None, lengths: Lengths | None = None
    ) -> tuple[Any, State]:
        """The outputs (T, N, D H), (N, T, D H) with ``batch_first``, and the final state (L, N, H), or a pair of them.

        Shapes: x (T, N, F), (N, T, F) or (T, F), or a PackedSequence, which is answered by one; lengths (N,).
        Raises: ValueError for shapes that do not fit or lengths out of range, TypeError for lengths that are no
        integers.
        """
        if isinstance(x, PackedSequence):
            return self._packed(x, state)
        if x.dim() == 2:
            rows = None if state is None else _mapped(lambda row: row.unsqueeze(1), state)
            output, final = self.forward(x.unsqueeze(self._batch_axis), rows, lengths)
            return output.squeeze(self._batch_axis), _mapped(lambda row: row.squeeze(1), final)
        self._require(x, state, lengths)
        if lengths is None:
            return self._whole(x, state)
        packed = pack_padded_sequence(x, lengths.cpu(), self.batch_first, enforce_sorted=False)
        output, final = self._packed(packed, state)
        steps = x.shape[1 - self._batch_axis]
        return pad_packed_sequence(output, self.batch_first, total_length=steps)[0], final

    @property
    def _batch_axis(self) -> int:
        return 0 if self.batch_first else 1

    def _options(self) -> tuple[Any, ...]:
        return self.bias, self.num_layers, self.dropout, self.training, self.bidirectional

    def _start(self, like: Tensor, batch: int, state: State | None) -> Any:
        """The initial state as the kernel wants it: zeros where none is given."""
        if state is not None:
            return state
        layers = self.num_layers * (1 + self.bidirectional)
        zeros = like.new_zeros(layers, batch, self.hidden_size)
        return zeros if len(self.states) == 1 else tuple(zeros for _ in self.states)

    def _whole(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        start = self._start(x, x.shape[self._batch_axis], state)
        output, *final = self.kernel(x, start, self._flat_weights, *self._options(), self.batch_first)
        return output, final[0] if len(final) == 1 else tuple(final)

    def _packed(self, x: PackedSequence, state: State | None) -> tuple[PackedSequence, State]:
        """The kernel on a packed sequence, whose batch is sorted by length."""
        start = self._start(x.data, int(x.batch_sizes[0]), state)
        order, back = x.sorted_indices, x.unsorted_indices
        if state is not None and order is not None:
            start = _mapped(lambda row: row.index_select(1, order), start)
        output, *final = self.kernel(x.data, x.batch_sizes, start, self._flat_weights, *self._options())
        found: State = final[0] if len(final) == 1 else tuple(final)
        if back is not None:
            found = _mapped(lambda row: row.index_select(1, back), found)
        return PackedSequence(output, x.batch_sizes, order, back), found

    def _require(self, x: Tensor, state: State | None, lengths: Lengths | None) -> None:
        if x.dim() != 3 or not x.shape[1 - self._batch_axis]:
            raise ValueError(f"x has shape {tuple(x.shape)}, expected three axes and at least one step")
        if x.shape[2] != self.input_size:
            raise ValueError(f"x has {x.shape[2]} features, expected {self.input_size}")
        batch, steps = x.shape[self._batch_axis], x.shape[1 - self._batch_axis]
        expected = (self.num_layers * (1 + self.bidirectional), batch, self.hidden_size)
        rows = () if state is None else (state,) if isinstance(state, Tensor) else state
        for name, row in zip(self.states, rows, strict=bool(rows)):
            if row.shape != expected:
                raise ValueError(f"{name} has shape {tuple(row.shape)}, expected {expected}")
        if lengths is not None:
            _require_lengths(lengths, steps, batch)


def _mapped(function: Callable[[Tensor], Tensor], state: Any) -> Any:
    return function(state) if isinstance(state, Tensor) else tuple(map(function, state))


def _require_lengths(lengths: Tensor, steps: int, batch: int) -> None:
    if lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise TypeError(f"lengths has dtype {str(lengths.dtype).removeprefix('torch.')}, expected integers")
    if lengths.shape != (batch,):
        raise ValueError(f"lengths has shape {tuple(lengths.shape)}, expected {(batch,)}")
    if batch and not (1 <= int(lengths.min()) and int(lengths.max()) <= steps):
        raise ValueError(f"lengths is {lengths.tolist()}, expected numbers from 1 to {steps}, the steps of x")


class RNN(_Recurrent):
    """Simple recurrent layers, h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), or relu of it.

    Source: Elman 1990, "Finding structure in time".
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"nonlinearity is {nonlinearity!r}, expected 'tanh' or 'relu'")
        self.nonlinearity = nonlinearity
        self.kernel = torch.rnn_tanh if nonlinearity == "tanh" else torch.rnn_relu
        sizes, mode = (input_size, hidden_size, num_layers), f"RNN_{nonlinearity.upper()}"
        super().__init__(mode, *sizes, bias, batch_first, dropout, bidirectional, device=device, dtype=dtype)


class LSTM(_Recurrent):
    """Long short-term memory with forget gates: c_t = f c_{t-1} + i g, h_t = o tanh(c_t); blocks i, f, g, o.

    ``forget_bias`` is where the sum of the forget gate's two biases starts, unless None, as Jozefowicz et al. 2015
    advise; the other parameters start as torch's.

    Source: Hochreiter, Schmidhuber 1997, "Long short-term memory"; Gers, Schmidhuber, Cummins 2000.
    """

    kernel = staticmethod(torch.lstm)
    states = ("h_0", "c_0")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        forget_bias: float | None = None,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ):
        if forget_bias is not None and not bias:
            raise ValueError(f"forget_bias is {forget_bias} with bias False, expected None or bias True")
        self.forget_bias = forget_bias
        sizes = (input_size, hidden_size, num_layers)
        super().__init__("LSTM", *sizes, bias, batch_first, dropout, bidirectional, device=device, dtype=dtype)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        super().reset_parameters()
        for name, parameter in self.named_parameters() if self.forget_bias is not None else ():
            if "bias" in name:
                start = self.forget_bias if "bias_ih" in name else 0.0
                parameter[self.hidden_size : 2 * self.hidden_size].fill_(start)  # type: ignore[arg-type]


class GRU(_Recurrent):
    """Gated recurrent units, h_t = z h_{t-1} + (1 - z) n, n = tanh(W_n x_t + b_n + r (U_n h_{t-1} + b'_n)).

    The blocks are in the order r, z, n.

    Source: Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder", with the reset gate after the
    recurrent product as in cuDNN.
    """

    kernel = staticmethod(torch.gru)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ):
        sizes = (input_size, hidden_size, num_layers)
        super().__init__("GRU", *sizes, bias, batch_first, dropout, bidirectional, device=device, dtype=dtype)


# --- pyramidal and stack ---


class PyramidalRNN(torch.nn.Module):
    """Pyramidal bidirectional LSTM: each layer joins neighbouring steps of its input and halves its length.

    An odd last step is left out.

    Source: Chan, Jaitly, Le, Vinyals 2016, "Listen, attend and spell", equation 5.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        self.input_size = input_size
        widths = (2 * input_size, *(4 * hidden_size for _ in range(num_layers - 1)))
        options: dict[str, Any] = {"batch_first": True, "bidirectional": True, "device": device, "dtype": dtype}
        self.layers = torch.nn.ModuleList(LSTM(width, hidden_size, **options) for width in widths)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B S G"]:
        """The outputs of the last layer, S = T // 2^L.

        Raises: ValueError for shapes that do not fit, or fewer than 2^L steps.
        """
        levels = len(self.layers)
        if x.dim() != 3:
            raise ValueError(f"x has shape {tuple(x.shape)}, expected three axes (B, T, D)")
        if x.shape[1] < 2**levels:
            raise ValueError(f"x has {x.shape[1]} steps, expected at least {2**levels}, to be halved {levels} times")
        for layer in self.layers:
            batch, steps, width = x.shape
            x, _ = layer(x[:, : steps // 2 * 2].reshape(batch, steps // 2, 2 * width))
        return x


class _StackScan(torch.autograd.Function):
    """The whole sequence of a stack RNN in one node: a few operations a step, and a way back derived by hand.

    Stack t lies in a row ``[value to push | s_t | -1]``, of which what push and pop make of it are views.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        U, R, P, A, D, h, stack = others
        steps, batch, hidden = x.shape[1], len(x), len(U)
        control = torch.cat((A, D)).T.contiguous()
        states, actions = x.new_empty(steps + 1, batch, hidden), x.new_empty(steps, batch, 3)
        rows = x.new_full((steps + 1, batch, stack.shape[1] + 2), -1.0)
        states[0], rows[0, :, 1:-1] = h, stack
        (still, push, pop), (shares, top, value) = _moves(rows), _columns(actions, rows)
        transposed = R.T.contiguous(), P.T.contiguous()
        given, h, a = (x.transpose(0, 1) @ U.T).unbind(), states.unbind(), actions.unbind()
        for t in range(steps):
            torch.addmm(given[t], h[t], transposed[0], out=h[t + 1]).addcmul_(top[t], transposed[1]).sigmoid_()
            shown, pushed = (h[t + 1] @ control).tensor_split((3,), 1)
            torch.softmax(shown, 1, out=a[t])
            torch.sigmoid(pushed, out=value[t])
            torch.mul(push[t], shares[0][t], out=still[t + 1])
            still[t + 1].addcmul_(pop[t], shares[1][t]).addcmul_(still[t], shares[2][t])
        ctx.save_for_backward(x, U, R, P, control, states, actions, rows)
        return states[1:].transpose(0, 1).contiguous(), rows[1:, :, 1:-1].transpose(0, 1).contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor, grad_stack: Tensor) -> Any:  # type: ignore[override]
        x, U, R, P, control, states, actions, rows = ctx.saved_tensors
        through = torch.empty_like(states[1:])
        of_h = torch.nn.functional.pad(grad_h.transpose(0, 1), (0, 0, 0, 0, 1, 0))
        of_rows = torch.nn.functional.pad(grad_stack.transpose(0, 1), (1, 1, 0, 0, 1, 0))
        logits = actions.new_empty(*actions.shape[:2], 4)
        slopes, to_logits = (states[1:] * (1 - states[1:])).unbind(), _to_logits(rows, actions)
        (still, pushed, popped), (shares, top, _) = _moves(of_rows), _columns(actions, of_rows)
        of, h, z, back = logits.unsqueeze(3).unbind(), of_h.unbind(), through.unbind(), control.T.contiguous()
        arriving, shown = of_rows[..., 1:-1].unsqueeze(3).unbind(), logits.unbind()
        for t in reversed(range(len(actions))):
            torch.bmm(to_logits[t], arriving[t + 1], out=of[t])
            torch.addmm(h[t + 1], shown[t], back, out=z[t]).mul_(slopes[t])
            h[t].addmm_(z[t], R)
            top[t].addmm_(z[t], P)
            still[t].addcmul_(popped[t + 1], shares[0][t]).addcmul_(pushed[t + 1], shares[1][t])
            still[t].addcmul_(still[t + 1], shares[2][t])
        flat, of_control = through.flatten(0, 1).T, logits.flatten(0, 1).T @ states[1:].flatten(0, 1)
        of_U = flat @ x.transpose(0, 1).flatten(0, 1)
        of_R, of_P = flat @ states[:-1].flatten(0, 1), flat @ rows[:-1, :, 1:2].flatten(0, 1)
        of_x = (through @ U).transpose(0, 1)
        return of_x, of_U, of_R, of_P, of_control[:3], of_control[3:], of_h[0], of_rows[0, :, 1:-1]


def _moves(rows: Tensor) -> tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]]:
    """The stack of each row as it is, moved down by a push, moved up by a pop: views of it."""
    return rows[..., 1:-1].unbind(), rows[..., :-2].unbind(), rows[..., 2:].unbind()


def _columns(actions: Tensor, rows: Tensor) -> tuple[list[Sequence[Tensor]], Sequence[Tensor], Sequence[Tensor]]:
    """The share of each action, the top of the stack and the place of the value to push, step by step."""
    return [share.unbind() for share in actions.split(1, 2)], rows[..., 1:2].unbind(), rows[..., :1].unbind()


def _to_logits(rows: Tensor, actions: Tensor) -> Sequence[Tensor]:
    """For each step the matrix (B, 4, K) from the gradient of the stack to those of the logits of actions and value.

    The stack's derivative by an action's share is what that action makes of it, and the shares' by their logits is
    diag(a) - a a^T.
    """
    moves = torch.stack((rows[:-1, :, :-2], rows[:-1, :, 2:], rows[:-1, :, 1:-1]), 2)
    mean = (actions.unsqueeze(2) @ moves).squeeze(2)
    value = rows[:-1, :, 0]
    pushed = torch.zeros_like(mean)
    pushed[..., 0] = actions[..., 0] * value * (1 - value)
    return torch.cat((actions.unsqueeze(3) * (moves - mean.unsqueeze(2)), pushed.unsqueeze(2)), 2).unbind()


class StackRNN(torch.nn.Module):
    """Recurrent network with a stack as its memory, moved by soft push, pop and no-op.

    h_t = sigmoid(U x_t + R h_{t-1} + P s_{t-1}[0]); a_t = softmax(A h_t); the value to push is sigmoid(D h_t). An empty
    stack reads -1.

    Source: Joulin, Mikolov 2015, "Inferring algorithmic patterns with stack-augmented recurrent nets", section 3.2.
    """

    U: Tensor
    R: Tensor
    P: Tensor
    A: Tensor
    D: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        stack_depth: int,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        if stack_depth < 1:
            raise ValueError(f"stack_depth was {stack_depth}, expected a number of at least 1")
        self.stack_depth = stack_depth
        shapes = {"U": (hidden_size, input_size), "R": (hidden_size, hidden_size), "P": (hidden_size, 1)}
        for name, shape in (shapes | {"A": (3, hidden_size), "D": (1, hidden_size)}).items():
            setattr(self, name, torch.nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters anew, from the normal law of variance 1 / fan-in."""
        for parameter in self.parameters():
            parameter.normal_(std=parameter.shape[1] ** -0.5)

    def forward(
        self, x: Float[Tensor, "B T F"], state: Mapping[str, Tensor] | None = None
    ) -> tuple[Float[Tensor, "B T H"], Float[Tensor, "B T K"]]:
        """The state and the stack after every step.

        Shapes: state {"h": (B, H), "stack": (B, K)}, zero and empty unless given.
        Raises: ValueError for shapes that do not fit.
        """
        hidden, features = self.U.shape
        if x.dim() != 3 or x.shape[2] != features:
            raise ValueError(f"x has shape {tuple(x.shape)}, expected (B, T, {features})")
        start = {"h": x.new_zeros(len(x), hidden), "stack": x.new_full((len(x), self.stack_depth), -1.0)}
        for name, value in (state or {}).items():
            if value.shape != start[name].shape:
                raise ValueError(f"{name} has shape {tuple(value.shape)}, expected {tuple(start[name].shape)}")
        first = {**start, **(state or {})}.values()
        return _StackScan.apply(x, self.U, self.R, self.P, self.A, self.D, *first)  # type: ignore[return-value]
