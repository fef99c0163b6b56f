"""Known mistakes in GoogLeNet and the Inception networks, each a changed declaration."""

from collections.abc import Callable
from dataclasses import replace

from dlcheck.models import mistakes as m
from dlcheck.models.declaration import Concat, Conv, Flatten, Head, Layer, Layers, Pool
from dlcheck.models.mistakes import (
    LINEAR,
    OVERFITS,
    SLOW,
    UNSTABLE,
    WEIGHTS,
    WORSE,
    Edit,
    Make,
    each,
    edit,
    faults,
    nowhere,
    settings,
    wired,
    with_fields,
    without,
)

_GOOGLENETS = ("googlenet", "inception_v2")
_NORMALIZED = ("inception_v2", "inception_v3", "inception_v4")
_LATER = ("inception_v3", "inception_v4")
_ALL = ("googlenet", *_NORMALIZED)


def _branch(number: int, change: Callable[[Layers], Layers]) -> Callable[[Layer], Layers]:
    """A join with one of its four branches changed; one of another number of branches stays."""

    def changed(branches: tuple[Layers, ...]) -> tuple[Layers, ...]:
        if len(branches) != 4:
            return branches
        return (*branches[:number], change(branches[number]), *branches[number + 1 :])

    return wired(changed)


def _pooled_only(branch: Layers) -> Layers:
    return branch[:1]


def _unreduced(branch: Layers) -> Layers:
    """The branch without its first convolution, and what belongs to that."""
    later = [i for i, layer in enumerate(branch) if isinstance(layer, Conv) and i]
    return branch[later[0] :] if later else branch


def _unpooled(branch: Layers) -> Layers:
    return tuple(layer for layer in branch if not isinstance(layer, Pool))


def _other_pool(branch: Layers) -> Layers:
    kinds = {"max": "average", "average": "max"}
    return tuple(replace(layer, kind=kinds[layer.kind]) if isinstance(layer, Pool) else layer for layer in branch)


def _pool_last(branch: Layers) -> Layers:
    return (*branch[1:], branch[0])


def _without_relu(first: bool) -> Callable[[Layers], Layers]:
    """A branch without its first, or without its last ReLU."""

    def changed(branch: Layers) -> Layers:
        places = [i for i, layer in enumerate(branch) if m.relu(layer)]
        out = places[:1] if first else places[-1:]
        return tuple(layer for i, layer in enumerate(branch) if i not in out)

    return changed


def _unsquashed_reductions(branches: tuple[Layers, ...]) -> tuple[Layers, ...]:
    """The second and the third branch without ReLU after the 1 x 1 convolution that they begin with."""
    if len(branches) != 4:
        return branches
    first, second, third, last = branches
    return first, _without_relu(True)(second), _without_relu(True)(third), last


def _dropped(number: int) -> Edit:
    """Modules of four branches without one of them."""

    def changed(branches: tuple[Layers, ...]) -> tuple[Layers, ...]:
        return branches[:number] + branches[number + 1 :] if len(branches) == 4 else branches

    return each(m.joined, wired(changed))


def _reductions_without_pool(branches: tuple[Layers, ...]) -> tuple[Layers, ...]:
    return tuple(b for b in branches if len(b) != 1) if len(branches) == 3 else branches


def _with_heads(component: str) -> m.Declare:
    """The declaration with heads, of the given kind if it has any."""
    as_given = settings(component)
    with_some = settings(component, heads="5x5" if component == "googlenet" else "with")
    return lambda **given: (with_some if given.get("heads", "none") == "none" else as_given)(**given)


def _heads(*after: int) -> Make:
    """Heads behind the modules of some numbers, in place of where they belong."""

    def make(component: str) -> m.Declare:
        declare = _with_heads(component)
        return lambda **given: _moved(declare(**given), after)

    return make


def _moved(network: m.Network, after: tuple[int, ...]) -> m.Network:
    found = [layer for layer in network.layers if isinstance(layer, Head)]
    made: list[Layer] = []
    modules = 0
    for layer in network.layers:
        made += [] if isinstance(layer, Head) else [layer]
        if isinstance(layer, Concat):
            modules += 1
            made += [head for head, place in zip(found, after, strict=False) if place == modules]
    return m.possible(replace(network, layers=tuple(made)), network)


def _linear_heads(layers: Layers) -> Layers:
    """Heads that go from the flattened maps to the classes."""

    def plain(layer: Layer) -> Layers:
        inner = layer.layers  # type: ignore[union-attr]
        flatten = next(i for i, part in enumerate(inner) if isinstance(part, Flatten))
        return (Head((*inner[: flatten + 1], inner[-1])),)

    return each(m.head, plain)(layers)


def _heads_edited(change: Edit) -> Make:
    def make(component: str) -> m.Declare:
        declare = _with_heads(component)

        def mistaken(**given: object) -> m.Network:
            right = declare(**given)
            return m.possible(replace(right, layers=change(right.layers)), right)

        return mistaken

    return make


def _head_unsquashed(layer: Layer) -> Layers:
    return (replace(layer, layers=_without_relu(False)(layer.layers)),)  # type: ignore[union-attr,type-var]


def _first_module_out(layers: Layers) -> Layers:
    return each(m.joined, nowhere, 1)(layers)


def _naive(layers: Layers) -> Layers:
    """The module without 1 x 1 convolutions in front of the large ones and behind the pool."""
    for number in (1, 2):
        layers = each(m.joined, _branch(number, _unreduced))(layers)
    return each(m.joined, _branch(3, _pooled_only))(layers)


def _swapped_kernels(layer: Layer) -> Layers:
    kernel, padding = layer.kernel, layer.padding  # type: ignore[union-attr]
    if isinstance(kernel, int) or isinstance(padding, int):
        return (layer,)
    return (replace(layer, kernel=kernel[::-1], padding=padding[::-1]),)  # type: ignore[type-var]


def _narrow_three(branch: Layers) -> Layers:
    last = [i for i, layer in enumerate(branch) if isinstance(layer, Conv)][-1]
    return (*branch[:last], replace(branch[last], channels=64), *branch[last + 1 :])  # type: ignore[type-var]


def _stem_unreduced(layers: Layers) -> Layers:
    first = next(i for i, layer in enumerate(layers) if isinstance(layer, Conv) and layer.kernel == 1)
    after = next(i for i in range(first + 1, len(layers)) if isinstance(layers[i], Conv))
    return layers[:first] + layers[after:]


def _slid_pool_out(layers: Layers, number: int) -> Layers:
    pools = [i for i, layer in enumerate(layers) if isinstance(layer, Pool)]
    return tuple(layer for i, layer in enumerate(layers) if i != pools[number])


def _once_less(run: int) -> Edit:
    """One of the runs of equal modules, the longest first, shorter by one."""

    def changed(layers: Layers) -> Layers:
        counts = {layer: layers.count(layer) for layer in layers if isinstance(layer, Concat)}
        at = layers.index(sorted(counts, key=lambda layer: -counts[layer])[run])
        return layers[:at] + layers[at + 1 :]

    return changed


def _one_large_kernel(branch: Layers) -> Layers:
    """One 5 x 5 convolution in the place of two of 3 x 3."""
    first, second = [i for i, layer in enumerate(branch) if m.large(layer)]
    large = replace(branch[first], kernel=5, padding=2)  # type: ignore[type-var]
    return (*branch[:first], large, *branch[first + 1 : second])


def _reductions_average(branches: tuple[Layers, ...]) -> tuple[Layers, ...]:
    return tuple(map(_other_pool, branches)) if len(branches) == 3 else branches


INCEPTION = (
    *faults(_ALL, "relu-unused", "what ReLU gives is not used", LINEAR, "x = relu(bn(conv(x))), and go on with x",
            edit(each(m.relu, nowhere)), ("open-mmlab/mmaction/issues/164",), googlenet="inception-relu-result-unused"),
    *faults(_ALL, "module-relu", "there is no ReLU after the 1 x 1 branch", LINEAR, "ReLU after every convolution",
            edit(each(m.joined, _branch(0, lambda branch: tuple(x for x in branch if not m.relu(x)))))),
    *faults(_ALL, "reduction-relu", "there is no ReLU after the 1 x 1 that reduce", LINEAR,
            "ReLU after every convolution", edit(each(m.joined, wired(_unsquashed_reductions)))),
    *faults(_ALL, "second-reduction-relu", "there is no ReLU after the 1 x 1 of the second branch", LINEAR,
            "ReLU after every convolution", edit(each(m.joined, _branch(1, _without_relu(True))))),
    *faults(_ALL, "projection-relu", "there is no ReLU after the pool's 1 x 1", LINEAR,
            "ReLU after every convolution", edit(each(m.joined, _branch(3, _without_relu(False))))),
    *faults(_ALL, "pool-last", "the pool's branch pools after its convolution", WORSE, "conv1x1(pool(x))",
            edit(each(m.joined, _branch(3, _pool_last)))),
    *faults(("googlenet", "inception_v3"), "heads-always", "heads are there in evaluation too", WEIGHTS,
            "heads in training only: if self.training", _heads_edited(each(m.head, with_fields(always=True)))),
    *faults("googlenet", "one-response-norm", "the second response normalisation is missing", WORSE,
            "normalise before the first 1 x 1 and after the 3 x 3", without(m.response_norm, 1)),
    *faults(_ALL, "stem-relu", "there is no ReLU after the first convolution", LINEAR, "ReLU after every convolution",
            without(m.relu, 0)),
    *faults(_ALL, "pool-unprojected", "the pool's branch has no 1 x 1 convolution", SLOW, "conv1x1(pool(x))",
            edit(each(m.joined, _branch(3, _pooled_only)))),
    *faults(_ALL, "unpooled-branch", "the pool's branch does not pool", WORSE, "conv1x1(pool(x))",
            edit(each(m.joined, _branch(3, _unpooled)))),
    *faults(_ALL, "other-pool", "the pool's branch pools by the other kind", WORSE,
            "the maximum in GoogLeNet, the average in later ones", edit(each(m.joined, _branch(3, _other_pool)))),
    *faults(_ALL, "unreduced", "there is no 1 x 1 before the second branch's kernel", SLOW, "conv3x3(conv1x1(x))",
            edit(each(m.joined, _branch(1, _unreduced)))),
    *faults(_GOOGLENETS, "naive", "modules lack all the 1 x 1 that reduce", SLOW,
            "1 x 1 before 3 x 3 and 5 x 5, and after the pool", edit(_naive)),
    *faults(_ALL, "three-branches", "modules lack the third branch", WORSE, "four branches", edit(_dropped(2))),
    *faults(_ALL, "branch-narrow", "the second branch of every module has 64 channels", WORSE, "the widths of table 1",
            edit(each(m.joined, _branch(1, _narrow_three)))),
    *faults(_ALL, "module-missing", "a module is missing", WORSE, "the modules of the table", edit(_first_module_out)),
    *faults("googlenet", "heads-late", "the heads stand one module too late", WORSE, "after 4a and 4d", _heads(4, 7)),
    *faults("googlenet", "heads-early", "the heads stand one module too early", WORSE, "after 4a and 4d", _heads(2, 5)),
    *faults("googlenet", "first-head-late", "the first head stands one module too late", WORSE, "after 4a and 4d",
            _heads(4, 6)),
    *faults("googlenet", "second-head-late", "the second head stands one module too late", WORSE, "after 4a and 4d",
            _heads(3, 7)),
    *faults("googlenet", "first-head-early", "the first head stands before 4a", WORSE, "after 4a and 4d", _heads(2, 6)),
    *faults("googlenet", "second-head-early", "the second head stands before 4d", WORSE, "after 4a and 4d",
            _heads(3, 5)),
    *faults("googlenet", "one-head", "one of the two heads is missing", WEIGHTS, "after 4a and 4d", _heads(3)),
    *faults("googlenet", "linear-heads", "heads have no hidden dense layer", WEIGHTS, "1024, ReLU, dropout, classes",
            _heads_edited(_linear_heads)),
    *faults("googlenet", "head-relu", "there is no ReLU after the heads' layer of 1024", LINEAR,
            "1024, ReLU, dropout, classes", _heads_edited(each(m.head, _head_unsquashed))),
    *faults("googlenet", "head-dropout", "heads have no dropout", OVERFITS, "dropout after the layer of 1024",
            _heads_edited(each(m.dropout, nowhere, 0, 1))),
    *faults("inception_v3", "head-first", "the head stands on the first 17 x 17 maps", WORSE,
            "on the last 17 x 17 maps", _heads(4)),
    *faults("inception_v3", "head-early", "the head stands one module too early", WORSE, "on the last 17 x 17 maps",
            _heads(7)),
    *faults(_GOOGLENETS, "stem-reduction", "the stem's 1 x 1 convolution is missing", WORSE, "7 x 7, 1 x 1, 3 x 3",
            edit(_stem_unreduced)),
    *faults("googlenet", "pools-floored", "pools between modules leave the last row and column out", WEIGHTS,
            "ceil_mode=True, or padding=1",
            edit(each(lambda layer: isinstance(layer, Pool) and (layer.kernel, layer.stride) == (3, 2),
                      with_fields(ceil=False, padding=0)))),
    *faults("googlenet", "pool-between", "the pool between 3b and 4a is missing", SLOW, "pool after 3b and 4e",
            edit(lambda layers: _slid_pool_out(layers, 2))),
    *faults(_LATER, "reduction-pool", "the reductions lack their pool", WORSE, "two convolutional branches and a pool",
            edit(each(m.joined, wired(_reductions_without_pool)))),
    *faults("inception_v2", "reduction-pool", "the reductions lack their pool", WORSE,
            "two convolutional branches and a pool", edit(each(m.joined, wired(_reductions_without_pool)))),
    *faults(_LATER, "kernels-turned", "kernels of 1 x n and n x 1 are exchanged", WEIGHTS, "as in the figures",
            edit(each(m.conv, _swapped_kernels))),
    *faults(_LATER, "kernels-alike", "both kernels of a pair are 1 x n", WORSE, "1 x n, then n x 1",
            edit(each(lambda layer: isinstance(layer, Conv) and layer.kernel == (7, 1),
                      with_fields(kernel=(1, 7), padding=(0, 3))))),
    *faults(_NORMALIZED, "no-batch-norm", "batch normalisation is missing", UNSTABLE,
            "convolution, normalisation, ReLU", without(m.norm)),
    *faults(_NORMALIZED, "stem-batch-norm", "the first convolution is not normalised", UNSTABLE,
            "convolution, normalisation, ReLU", without(m.norm, 0)),
    *faults(_NORMALIZED, "relu-first", "ReLU stands before batch normalisation", WORSE,
            "convolution, normalisation, ReLU", edit(m.normalized_late)),
    *faults("inception_v4", "one-module-less", "there are six modules of the second kind", WORSE, "4, 7 and 3",
            edit(_once_less(0))),
    *faults("inception_v4", "first-kind-less", "there are three modules of the first kind", WORSE, "4, 7 and 3",
            edit(_once_less(1))),
    *faults("inception_v4", "third-kind-less", "there are two modules of the third kind", WORSE, "4, 7 and 3",
            edit(_once_less(2))),
    *faults(_LATER, "stem-padded", "the first convolution is padded", WORSE, "3 x 3 with stride 2, not padded",
            edit(each(m.conv, with_fields(padding=1), 0))),
    *faults(_NORMALIZED, "reduction-average", "the reductions' pool averages", WORSE, "the maximum",
            edit(each(m.joined, wired(_reductions_average)))),
    *faults("inception_v2", "last-module-average", "the last module's pool averages", WORSE, "the maximum in 5b",
            edit(each(m.joined, _branch(3, _other_pool), -1))),
    *faults("inception_v2", "one-large-kernel", "the third branch has one 5 x 5, not two 3 x 3", WORSE,
            "two 3 x 3 convolutions", edit(each(m.joined, _branch(2, _one_large_kernel)))),
    *faults("googlenet", "first-module", "module 3a is missing", WORSE, "the modules of the table",
            edit(each(m.joined, nowhere, 0))),
)  # fmt: skip
