"""What a network is made of: layers as plain data, which every builder and every table reads."""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod

Pair = tuple[int, int]
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution; ``table`` lists the input channels that each output channel sees, where not all of its group."""

    channels: int
    kernel: int | Pair
    stride: int = 1
    padding: int | Pair = 0
    groups: int = 1
    bias: bool = True
    table: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Linear:
    """A dense layer."""

    features: int
    bias: bool = True


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """Batch normalisation of every channel, which then learns a scale and a shift."""

    eps: float = 1e-5
    scale: bool = True
    shift: bool = True


@dataclass(frozen=True, slots=True)
class ResponseNorm:
    """Local response normalisation over ``size`` neighbouring channels; alpha multiplies their mean square."""

    size: int = 5
    alpha: float = 5e-4
    beta: float = 0.75
    k: float = 2.0


@dataclass(frozen=True, slots=True)
class Activation:
    """A function of every number: "relu", "tanh", "sigmoid", "scaled_tanh" or "softmax" (over the features)."""

    kind: str = "relu"


@dataclass(frozen=True, slots=True)
class Pool:
    """Pooling of kind "max" or "average"; ``ceil`` counts windows that stand over the edge too."""

    kind: str
    kernel: int
    stride: int
    padding: int = 0
    ceil: bool = False


@dataclass(frozen=True, slots=True)
class GlobalPool:
    """The average of every channel, kept as 1 x 1."""


@dataclass(frozen=True, slots=True)
class AdaptivePool:
    """Averages over windows that cut the image into ``size`` x ``size`` parts."""

    size: int


@dataclass(frozen=True, slots=True)
class Scale:
    """A trainable coefficient and bias for every channel, as in LeNet-5's sub-sampling."""


@dataclass(frozen=True, slots=True)
class Flatten:
    """All numbers of an image in one row."""


@dataclass(frozen=True, slots=True)
class Dropout:
    """Dropout with probability p, in training only (``always``: a mistake, in evaluation too)."""

    p: float = 0.5
    always: bool = False


@dataclass(frozen=True, slots=True)
class Subsample:
    """Every ``stride``-th position, and channels of zeros behind the given ones: the shortcut without weights."""

    channels: int
    stride: int


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of branches, each fed the same input; an empty branch is the identity."""

    branches: tuple["Layers", ...]


@dataclass(frozen=True, slots=True)
class Concat:
    """The channels of all branches, one after the other."""

    branches: tuple["Layers", ...]


@dataclass(frozen=True, slots=True)
class Head:
    """A further output in training, made from here; what goes on is what came in.

    Mistakes: not ``used``, it leads nowhere; ``always``, it is there in evaluation too.
    """

    layers: "Layers"
    used: bool = True
    always: bool = False


Layer = (
    Conv | Linear | BatchNorm | ResponseNorm | Activation | Pool | GlobalPool | AdaptivePool
    | Scale | Flatten | Dropout | Subsample | Sum | Concat | Head
)  # fmt: skip
Layers = tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Network:
    """A network: the shape (C, H, W) of the images it is made for, and its layers.

    ``holding`` names mistakes in how it holds its parameters: "shared", layers that should have their own use the same
    ones; "idle", there are some that no layer uses; "unregistered", the network does not know of some that layers use;
    "frozen", some get no gradient; "zeros", layers that follow each other start at zero. ``flow`` names mistakes in
    what goes through it: "stopped", a gradient does not go back through some connection; "mixed", examples of a batch
    meet in a layer; "untracked", batches are normalised by themselves in evaluation; "unbatched", not by themselves in
    training; "forgetful", the last batch is most of what they are normalised by in evaluation.
    """

    name: str
    image: Shape
    layers: Layers
    holding: tuple[str, ...] = ()
    flow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a network one is: the shape here, the receptive field of one number and the stride between two."""

    shape: Shape
    field: Pair = (1, 1)
    jump: Pair = (1, 1)


@dataclass(frozen=True, slots=True)
class Row:
    """One layer of a network's table; ``path`` is the prefix of its parameters' names."""

    path: str
    layer: Layer
    before: Place
    after: Place
    parameters: Mapping[str, Shape] = field(default_factory=dict)

    @property
    def parameter_count(self) -> int:
        """How many numbers it learns."""
        return sum(prod(shape) for shape in self.parameters.values())

    @property
    def multiply_adds(self) -> int:
        """Multiplications of a weight for one image; a bias, a pool and a normalisation count nothing."""
        weight = prod(self.parameters.get("weight", (0,)))
        match self.layer:
            case Conv():
                return weight * prod(self.after.shape[1:])
            case Linear():
                return weight
            case _:
                return 0


def parameter_count(network: Network, used: bool = False) -> int:
    """How many numbers a network learns; ``used`` leaves those of layers that lead nowhere out."""
    return _learned(network.layers, network.image, used)


def _learned(layers: Layers, shape: Shape, used: bool) -> int:
    count = 0
    for layer in layers:
        count += _learned_by(layer, shape, used)
        shape = shape_after(layer, shape)
    return count


@lru_cache(maxsize=4096)
def _learned_by(layer: Layer, shape: Shape, used: bool) -> int:
    if used and isinstance(layer, Head) and not layer.used:
        return 0
    own = sum(map(prod, parameter_shapes(layer, shape).values()))
    return own + sum(_learned(branch, shape, used) for branch in branches(layer))


def pair(value: int | Pair) -> Pair:
    """A size for height and width."""
    return (value, value) if isinstance(value, int) else value


def rows(network: Network) -> Iterator[Row]:
    """The table of a network, layer by layer; the layers of a branch come before the layer that joins it.

    Raises ValueError where an image is too small for a window, or branches do not fit together.
    """
    return _rows(network.layers, Place(network.image), "")


def _rows(layers: Layers, place: Place, prefix: str) -> Generator[Row, None, Place]:
    for index, layer in enumerate(layers):
        path, ends = f"{prefix}{index}", []
        for number, branch in enumerate(branches(layer)):
            ends.append((yield from _rows(branch, place, f"{path}.{number}.")))
        after = _after(layer, place, ends)
        yield Row(path, layer, place, after, parameter_shapes(layer, place.shape))
        place = after
    return place


@lru_cache(maxsize=4096)
def shape_after(layer: Layer, shape: Shape) -> Shape:
    """The shape of what a layer gives for an input of some shape; the same units come again and again.

    Raises: ValueError as ``rows``.
    """
    ends = [Place(shape_through(branch, shape)) for branch in branches(layer)]
    return _after(layer, Place(shape), ends).shape


def shape_through(layers: Layers, shape: Shape) -> Shape:
    """The shape of what layers give, one after the other. Raises: ValueError as ``rows``."""
    for layer in layers:
        shape = shape_after(layer, shape)
    return shape


def branches(layer: Layer) -> tuple[Layers, ...]:
    """The layers inside a layer."""
    match layer:
        case Sum(inner) | Concat(inner):
            return inner
        case Head(inner):
            return (inner,)
        case _:
            return ()


def parameter_shapes(layer: Layer, shape: Shape) -> dict[str, Shape]:
    """The shapes of a layer's parameters by name, for an input of some shape."""
    match layer:
        case Conv(table=table) if table:
            weight: Shape = (sum(map(len, table)), *pair(layer.kernel))
        case Conv():
            weight = (layer.channels, shape[0] // layer.groups, *pair(layer.kernel))
        case Linear(features):
            weight = (features, prod(shape))
        case BatchNorm(scale=scale, shift=shift):
            return {name: shape[:1] for name, learned in (("weight", scale), ("bias", shift)) if learned}
        case Scale():
            return {"weight": shape[:1], "bias": shape[:1]}
        case _:
            return {}
    bias = {"bias": (layer.channels if isinstance(layer, Conv) else layer.features,)} if layer.bias else {}
    return {"weight": weight, **bias}


def _after(layer: Layer, place: Place, ends: list[Place]) -> Place:
    match layer:
        case Conv(channels, kernel, stride, padding):
            return _slid(place, channels, pair(kernel), stride, pair(padding), False)
        case Pool(_, kernel, stride, padding, ceil):
            return _slid(place, place.shape[0], pair(kernel), stride, pair(padding), ceil)
        case Subsample(channels, stride):
            return _slid(place, channels, (1, 1), stride, (0, 0), False)
        case GlobalPool():
            return _slid(place, place.shape[0], place.shape[1:], 1, (0, 0), False)  # type: ignore[arg-type]
        case AdaptivePool(size):
            return _averaged(place, size)
        case Linear(features):
            return Place((features,), _whole(place), place.jump)
        case Flatten():
            return Place((prod(place.shape),), _whole(place), place.jump)
        case Sum() | Concat():
            return _joined(layer, ends)
        case _:
            return place


def _slid(place: Place, channels: int, kernel: Pair, stride: int, padding: Pair, ceil: bool) -> Place:
    """Where a window that slides over the image leads."""
    sizes = tuple(_windows(*each, stride, ceil) for each in zip(place.shape[1:], kernel, padding, strict=True))
    field = tuple(f + (k - 1) * j for f, k, j in zip(place.field, kernel, place.jump, strict=True))
    return Place((channels, *sizes), field, (place.jump[0] * stride, place.jump[1] * stride))  # type: ignore[arg-type]


def _windows(size: int, kernel: int, padding: int, stride: int, ceil: bool) -> int:
    """How many windows fit; one that is ceiled in must begin inside the image or the padding before it."""
    free = size + 2 * padding - kernel
    if free < 0:
        raise ValueError(f"image was {size} wide with padding {padding}, expected at least the kernel's {kernel}")
    count = (-(-free // stride) if ceil else free // stride) + 1
    return count - 1 if ceil and (count - 1) * stride >= size + padding else count


def _averaged(place: Place, size: int) -> Place:
    """Where adaptive pooling leads: windows from floor(i n / size) to ceil((i + 1) n / size)."""
    height = place.shape[1]
    window = max(-(-(i + 1) * height // size) - i * height // size for i in range(size))
    widened = _slid(place, place.shape[0], (window, window), 1, (0, 0), False)
    stride = height // size
    return Place((place.shape[0], size, size), widened.field, (place.jump[0] * stride, place.jump[1] * stride))


def _whole(place: Place) -> Pair:
    """The receptive field of what sees every position."""
    if len(place.shape) < 3:
        return place.field
    height, width = (f + (n - 1) * j for f, n, j in zip(place.field, place.shape[1:], place.jump, strict=True))
    return height, width


def _joined(layer: Sum | Concat, ends: list[Place]) -> Place:
    shapes = [end.shape for end in ends]
    compared = shapes if isinstance(layer, Sum) else [shape[1:] for shape in shapes]
    if len(set(compared)) != 1:
        raise ValueError(f"branches of {type(layer).__name__} had shapes {shapes}, expected ones that fit together")
    channels = shapes[0][0] if isinstance(layer, Sum) else sum(shape[0] for shape in shapes)
    height, width = (max(end.field[axis] for end in ends) for axis in (0, 1))
    return Place((channels, *shapes[0][1:]), (height, width), ends[0].jump)
