"""The operations of torch that have a name of their own in a network: what node of a graph each of them is."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from dlcheck.conformance.adapters.tracing import Record, Ref
from dlcheck.conformance.adapters.translation import Operation, Translator

_OF_MAPS = ("dropout1d", "dropout2d", "dropout3d", "feature_dropout")
_NAMED = {
    **{name: name for name in ("relu", "tanh", "sigmoid", "leaky_relu", "elu", "gelu", "silu", "softplus")},
    **dict.fromkeys(("_softmax", "_log_softmax"), "softmax"),
}


def _argument(record: Record, position: int, name: str, default: Any = None) -> Any:
    return record.args[position] if len(record.args) > position else record.keywords.get(name, default)


def _both(value: Any) -> tuple[int, int]:
    """A size of height and width, of a list of one or two numbers."""
    values = [value] if isinstance(value, int) else list(value)
    return (values[0], values[-1]) if values else (0, 0)


def _conv(translator: Translator, record: Record) -> int | None:
    _, weight, bias, stride, padding, dilation, transposed, _, groups = record.args[:9]
    if isinstance(weight, Ref) or transposed or any(d != 1 for d in dilation) or weight.dim() != 4:
        return None
    out, into, *kernel = weight.shape
    numbers = (into, out, *kernel, *_both(stride), *_both(padding), groups, int(bias is not None))
    return translator.weighed(record, 0, weight, "conv", numbers, _table(translator, weight, groups))


def _table(translator: Translator, weight: torch.Tensor, groups: int) -> tuple[tuple[int, ...], ...]:
    """The connections that a masked kernel leaves; a kernel that is a parameter has them all."""
    if isinstance(weight, torch.nn.Parameter) or groups != 1:
        return ()
    translator.derived_weights = True
    if weight.is_meta:
        return ()
    seen = (weight != 0).flatten(2).any(2)
    if bool(seen.all()):
        return ()
    translator.masked += int((~seen).sum()) * weight[0, 0].numel()
    return tuple(tuple(int(i) for i in row.nonzero().flatten()) for row in seen)


def _dense(translator: Translator, record: Record) -> int | None:
    """addmm(bias, x, W^T), mm(x, W^T) or linear(x, W, bias)."""
    position = 1 if record.name == "addmm" else 0
    x, matrix = record.args[position : position + 2]
    if not isinstance(x, Ref) or isinstance(matrix, Ref) or len(record.shape) != 2:
        return None
    numbers = (matrix.shape[0], matrix.shape[1], int(position))
    return translator.weighed(record, position, matrix, "dense", numbers)


def _batch_norm(translator: Translator, record: Record) -> int | None:
    weight, bias = record.args[1:3]
    said = [value for value in record.args[3:] if isinstance(value, bool)]
    by_batch = said[0] if said else "_no_" not in record.name
    translator.flow.add("batch" if by_batch else "running")
    momentum = next((value for value in record.args[3:] if isinstance(value, float)), 0.0)
    if by_batch and 0.5 < momentum < 1:  # at 1 the first batch of a cumulative average enters
        translator.flow.add("forgetful")
    numbers = (int(weight is not None), int(bias is not None))
    return translator.graph.add("batch_norm", numbers, (translator.source(record),), record.shape[1:])


def _pool(translator: Translator, record: Record) -> int | None:
    average = record.name == "avg_pool2d"
    kernel = _both(record.args[1])
    stride = _both(_argument(record, 2, "stride") or kernel)
    padding = _both(_argument(record, 3, "padding", 0))
    dilation = (1, 1) if average else _both(_argument(record, 4, "dilation", 1))
    before = translator.shape(record)[-2:]
    if dilation != (1, 1):
        return None
    floors = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip(before, padding, kernel, stride, strict=True)]
    numbers = (*kernel, *stride, *padding, int(list(record.shape[-2:]) != floors))
    op = "average_pool" if average else "max_pool"
    return translator.graph.add(op, numbers, (translator.source(record),), record.shape[1:])


def _adaptive(translator: Translator, record: Record) -> int | None:
    return translator.graph.add("adaptive_pool", record.shape[-2:], (translator.source(record),), record.shape[1:])


def _whole_maximum(translator: Translator, record: Record) -> int | None:
    """The maximum of whole images."""
    shape = translator.shape(record)
    if len(shape) != 4 or math.prod(record.shape[2:]) != 1 or record.shape[1] != shape[1]:
        return None
    numbers = (*shape[2:], *shape[2:], 0, 0, 0)
    return translator.graph.add("max_pool", numbers, (translator.source(record),), (shape[1], 1, 1))


def _mean(translator: Translator, record: Record) -> int | None:
    """The mean of whole images, wherever their height and width now stand."""
    shape, dims = translator.shape(record), {d % len(translator.shape(record)) for d in record.args[1] or ()}
    if translator.is_formula(record.sources[0]) or dims != set(range(2, len(shape))):
        return None
    node = translator.source(record)
    channels = translator.graph.nodes[node].shape[0]
    if channels != shape[1]:
        return None
    return translator.graph.add("adaptive_pool", (1, 1), (node,), (channels, 1, 1))


def _continues(translator: Translator, record: Record) -> bool:
    """Whether a function of every number is part of a longer formula, as the tanh in 1.7159 tanh(2x/3)."""
    return translator.is_formula(record.sources[0])


def _named(translator: Translator, record: Record) -> int | None:
    if _continues(translator, record):
        return None
    return translator.elementwise(_NAMED[record.name.rstrip("_")], (), translator.source(record))


def _clamped(translator: Translator, record: Record) -> int | None:
    """clamp(min=0) is ReLU."""
    low, high = _argument(record, 1, "min"), _argument(record, 2, "max")
    if low != 0 or high is not None or _continues(translator, record):
        return None
    return translator.elementwise("relu", (), translator.source(record))


def _sum(translator: Translator, record: Record) -> int | None:
    """A sum of two branches, or of a branch and one number for each channel."""
    scaled = _argument(record, 2, "alpha", 1) != 1
    left, right = record.args[:2]
    if translator.one_formula(record.sources):
        return None
    if isinstance(right, (int, float)) and right == 0:
        return translator.source(record)
    if isinstance(left, Ref) and isinstance(right, Ref) and not scaled:
        nodes = [translator.node(side.record) for side in (left, right)]
        return translator.graph.add("sum", (), nodes, record.shape[1:])
    return None if scaled else _per_channel(translator, record, "shift", ())


def _product(translator: Translator, record: Record) -> int | None:
    return _per_channel(translator, record, "scale", (0,))


def _per_channel(translator: Translator, record: Record, op: str, numbers: tuple[float, ...]) -> int | None:
    traced = [value for value in record.args[:2] if isinstance(value, Ref)]
    others = [value for value in record.args[:2] if isinstance(value, torch.Tensor)]
    if len(traced) != 1 or len(others) != 1 or others[0].numel() != record.shape[1] or others[0].numel() == 1:
        return None
    return translator.graph.add(op, numbers, (translator.node(traced[0].record),), record.shape[1:])


def _concat(translator: Translator, record: Record) -> int | None:
    parts = [part for part in record.args[0] if not translator.is_zeros(part)]
    sources = [part.record for part in parts if isinstance(part, Ref)]
    if _argument(record, 1, "dim", 0) % len(record.shape) != 1 or translator.one_formula(sources):
        return None
    nodes = [translator.node(source) for source in sources]
    added = record.shape[1] - sum(translator.records[source].shape[1] for source in sources)
    shape = (record.shape[1] - added, *record.shape[2:])
    node = translator.graph.add("concat", (), nodes, shape)
    return translator.graph.add("zero_channels", (added,), (node,), record.shape[1:]) if added else node


def _padded(translator: Translator, record: Record) -> int | None:
    pad = (*record.args[1], *(0,) * 6)[:6]
    if _argument(record, 2, "value", 0) or len(record.shape) != 4:
        return None
    node = translator.source(record)
    if any(pad[:4]):
        shape = (translator.shape(record)[1], *record.shape[2:])
        node = translator.graph.add("pad", pad[:4], (node,), shape)
    return translator.graph.add("zero_channels", (sum(pad[4:]),), (node,), record.shape[1:]) if any(pad[4:]) else node


def _sliced(translator: Translator, record: Record) -> int | None:
    """Every n-th row and column, or some of the channels."""
    if _continues(translator, record):
        return None
    before, dim = translator.shape(record), _argument(record, 1, "dim", 0) % len(record.shape)
    step, start = _argument(record, 4, "step", 1), _argument(record, 2, "start", 0) or 0
    node = translator.source(record)
    if record.shape == before:
        return node
    if dim == 1 and step == 1:
        start = start % before[1]
        return _chosen(translator, node, tuple(range(start, start + record.shape[1])), record)
    if dim == 2 and not start and step > 1:
        return translator.graph.add("rows", (step,), (node,), record.shape[1:])
    rows = translator.graph.nodes[node]
    if dim == 3 and not start and (rows.op, rows.numbers) == ("rows", (step,)):
        return translator.graph.add("subsample", (step,), rows.inputs, record.shape[1:])
    return None


def _chosen(translator: Translator, node: int, channels: tuple[int, ...], record: Record) -> int:
    """Some channels of a node, which may itself be some channels."""
    fed = translator.graph.nodes[node]
    if fed.op == "select":
        node, channels = fed.inputs[0], tuple(int(fed.numbers[channel]) for channel in channels)
    return translator.graph.add("select", channels, (node,), record.shape[1:])


def _indexed(translator: Translator, record: Record) -> int | None:
    """x[:, [channels]] or index_select."""
    if record.name == "index_select":
        dim, index = record.args[1:3]
    else:
        given = list(record.args[1])
        dim, index = len(given) - 1, given[-1]
        if any(other is not None for other in given[:-1]):
            return None
    if dim != 1 or not isinstance(index, torch.Tensor) or index.is_meta or index.dtype == torch.bool:
        return None
    return _chosen(translator, translator.source(record), tuple(index.tolist()), record)


def _split(translator: Translator, record: Record) -> int | None:
    """One of several parts of the channels."""
    sizes, dim = record.args[1], _argument(record, 2, "dim", 0)
    position = int(record.name.split("[")[1][:-1]) if "[" in record.name else 0
    channels = translator.shape(record)[1]
    if dim % len(record.shape) != 1:
        return None
    starts = range(0, channels, sizes) if isinstance(sizes, int) else [sum(sizes[:i]) for i in range(len(sizes))]
    first = starts[position]
    return _chosen(translator, translator.source(record), tuple(range(first, first + record.shape[1])), record)


def _response_norm(translator: Translator, record: Record) -> int | None:
    size = _argument(record, 1, "size")
    return translator.graph.add("response_norm", (size,), (translator.source(record),), record.shape[1:])


def _dropout(translator: Translator, record: Record) -> int | None:
    """Dropout of numbers, or of whole maps."""
    p = _argument(record, 1, "p", 0.5)
    node = translator.source(record)
    maps = record.name.rstrip("_") in _OF_MAPS and math.prod(record.shape[2:]) > 1
    return translator.elementwise("map_dropout" if maps else "dropout", (p,), node) if p else node


KNOWN: Mapping[str, Operation] = {
    **dict.fromkeys(("convolution", "_convolution", "conv2d", "mkldnn_convolution", "cudnn_convolution"), _conv),
    **dict.fromkeys(("addmm", "mm", "matmul"), _dense),
    **dict.fromkeys(
        ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "cudnn_batch_norm",
         "_native_batch_norm_legit_functional", "_batch_norm_with_update", "_batch_norm_no_update", "batch_norm"),
        _batch_norm,
    ),
    **dict.fromkeys(("max_pool2d_with_indices", "max_pool2d", "avg_pool2d"), _pool),
    **dict.fromkeys(("_adaptive_avg_pool2d", "adaptive_avg_pool2d"), _adaptive),
    **dict.fromkeys(_NAMED, _named),
    **dict.fromkeys(("clamp", "clamp_min"), _clamped),
    **dict.fromkeys(("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_dropout"), _dropout),
    **dict.fromkeys((f"split[{i}]" for i in range(64)), _split),
    **dict.fromkeys((f"split_with_sizes[{i}]" for i in range(64)), _split),
    **dict.fromkeys(("index", "index_select"), _indexed),
    "split": _split,
    "split_with_sizes": _split,
    "slice": _sliced,
    **dict.fromkeys(("amax", "adaptive_max_pool2d"), _whole_maximum),
    "mean": _mean,
    "add": _sum,
    "mul": _product,
    "cat": _concat,
    "constant_pad_nd": _padded,
    "local_response_norm": _response_norm,
}  # fmt: skip
"""By name without a final underscore; each gives None for what it does not know."""
