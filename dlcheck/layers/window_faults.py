"""Known mistakes in where the windows of a convolution lie: stride, padding and dilation."""

from itertools import permutations
from typing import Any

from dlcheck.component import Fault
from dlcheck.layers.mistakes import OTHER_FUNCTION, SHIFTED, Array, Call, Map, Replaces, conv, frame, moved


def _pair(value: Any) -> tuple[Any, Any]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)


# --- stride, padding, dilation ---------------------------------------------------------------------------------------


def _swapped(name: str) -> Replaces:
    """The pair of a setting, the other way round."""
    default = 0 if name == "padding" else 1
    settings: dict[str, Any] = {name: lambda call: _reversed(call.settings.get(name, default))}
    return moved(**settings)


def _reversed(value: Any) -> Any:
    return value if isinstance(value, str) else _pair(value)[::-1]


def _extent_without_one(y: Array, call: Call) -> Array:
    """Fewer outputs, as if a dilated kernel were dilation times its size."""
    padded, dilation, stride = call.framed.shape[-2:], call.windows.dilation, call.stride
    sizes = (
        max((n - d * k) // s + 1, 0) for n, d, k, s in zip(padded, dilation, call.windows.kernel, stride, strict=True)
    )
    rows, columns = sizes
    return y[..., :rows, :columns]


def _rounded_up(x: Array, call: Call) -> Array:
    """The framed image with as many zeros more as a last, incomplete window needs."""
    missing = [-(n - e) % s for n, e, s in zip(call.framed.shape[-2:], call.windows.extent, call.stride, strict=True)]
    return frame(frame(x, call.windows.padding), [(0, zeros) for zeros in missing])


def _framed(mode: str) -> Replaces:
    """Something else than zeros around the image."""
    return moved(lambda x, call: frame(x, call.windows.padding, mode), padding=0)


def _one_side(before: int, after: int) -> Map:
    """Zeros as given by number, so many times at the start and at the end of each axis."""

    def one_side(x: Array, call: Call) -> Array:
        padding = call.windows.padding
        return frame(x, padding if call.named else [(before * zeros, after * zeros) for zeros, _ in padding])

    return one_side


def _on_one_axis(name: str, none: int) -> tuple[Fault, ...]:
    """A setting that one axis obeys and the other does not."""

    def one(axis: int) -> Any:
        def pair(call: Call) -> Any:
            value = call.settings.get(name, none)
            return value if isinstance(value, str) else tuple(_pair(value)[i] if i == axis else none for i in (0, 1))

        return pair

    return tuple(
        conv(f"conv2d-{name}-on-{axis}-only", f"{name} is obeyed on {axis} only", OTHER_FUNCTION,
             f"{name} is one number for both axes, or (rows, columns)", moved(**{name: one(place)}))
        for place, axis in enumerate(("rows", "columns"))
    )  # fmt: skip


def _gaps(call: Call) -> tuple[int, ...]:
    """Dilations one larger, but for those that are not given."""
    return tuple(d + (call.windows.dilation != (1, 1)) for d in call.windows.dilation)


def _changed(name: str, value: Any) -> Replaces:
    """A setting by another value, or by a function of the call."""
    settings: dict[str, Any] = {name: value}
    return moved(**settings)


def _ignored_beside() -> tuple[Fault, ...]:
    """A setting that is obeyed alone, and ignored together with another one."""
    settings = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}

    def value(name: str, other: str) -> Any:
        def chosen(call: Call) -> Any:
            beside = call.settings.get(other, settings[other])
            given = call.settings.get(name, settings[name])
            plain = isinstance(given, str) or _pair(beside) == _pair(settings[other])
            return given if plain else settings[name]

        return chosen

    return tuple(
        conv(f"conv2d-{name}-ignored-with-{other}", f"{name} is ignored where {other} is given too", OTHER_FUNCTION,
             f"obey {name} whatever {other} is", _changed(name, value(name, other)))
        for name, other in permutations(settings, 2) if name != "groups"
    )  # fmt: skip


def _of_pointwise(name: str, change: Any) -> Replaces:
    """A setting changed for 1x1 kernels."""
    default = 0 if name == "padding" else 1

    def chosen(call: Call) -> Any:
        given = call.settings.get(name, default)
        return change(given) if call.windows.kernel == (1, 1) and not isinstance(given, str) else given

    return _changed(name, chosen)


SETTINGS = (
    *_ignored_beside(),
    conv(
        "conv2d-pointwise-padding-ignored", "1x1 kernels ignore padding", OTHER_FUNCTION,
        "p zeros on each side, also for 1x1 kernels", _of_pointwise("padding", lambda given: 0),
    ),
    conv(
        "conv2d-pointwise-stride-ignored", "1x1 kernels ignore stride", OTHER_FUNCTION,
        "windows start at s p, s q, also for 1x1 kernels", _of_pointwise("stride", lambda given: 1),
    ),
    conv(
        "conv2d-pointwise-first-stride", "1x1 kernels take the first stride for both axes", OTHER_FUNCTION,
        "stride = (rows, columns), also for 1x1 kernels", _of_pointwise("stride", lambda given: _pair(given)[0]),
    ),
    conv(
        "conv2d-padding-mode-ignored", "padding_mode is ignored: the frame is zero", OTHER_FUNCTION,
        "F.pad(x, ..., mode=padding_mode) before the convolution", moved(padding_mode="zeros"),
    ),
    *_on_one_axis("stride", 1),
    *_on_one_axis("padding", 0),
    *_on_one_axis("dilation", 1),
    conv(
        "conv2d-stride-ignored", "stride is ignored", "Outputs and everything after them are too large.",
        "windows start at s p, s q", moved(stride=1),
    ),
    conv(
        "conv2d-windows-one-apart", "windows are one pixel apart, outputs as many as by stride",
        "The network sees the first corner of the image only.", "windows start at s p, s q",
        moved(stride=1, output=lambda y, call: y[..., : call.windows.output[0], : call.windows.output[1]]),
    ),
    conv(
        "conv2d-stride-swapped", "the strides of rows and columns are swapped", OTHER_FUNCTION,
        "stride = (rows, columns)", _swapped("stride"),
    ),
    conv(
        "conv2d-stride-first-for-both", "the first stride is taken for both axes", OTHER_FUNCTION,
        "stride = (rows, columns)", moved(stride=lambda call: call.stride[0]),
    ),
    conv(
        "conv2d-padding-ignored", "padding is ignored", "The image shrinks with every layer, its edges count less.",
        "p zeros on each of the four sides", moved(padding=0),
    ),
    conv(
        "conv2d-padding-swapped", "the paddings of rows and columns are swapped", OTHER_FUNCTION,
        "padding = (rows, columns)", _swapped("padding"),
    ),
    conv(
        "conv2d-padding-at-end", "all zeros of the padding stand at the end", SHIFTED, "p zeros on each side",
        moved(_one_side(0, 2), padding=0),
    ),
    conv(
        "conv2d-padding-on-one-side", "only the start is padded, not the end", SHIFTED, "p zeros on each side",
        moved(_one_side(1, 0), padding=0),
    ),
    conv(
        "conv2d-padding-at-start", "all zeros of the padding stand at the start", SHIFTED, "p zeros on each side",
        moved(_one_side(2, 0), padding=0),
    ),
    conv(
        "conv2d-padding-after-only", "only the end is padded, not the start", SHIFTED, "p zeros on each side",
        moved(_one_side(0, 1), padding=0),
    ),
    conv(
        "conv2d-padding-replicated", "the frame repeats the edge, it is not zero",
        "Trained weights see other values at the edges.", "frame the image with zeros", _framed("edge"),
    ),
    conv(
        "conv2d-padding-reflected", "the frame mirrors the image, it is not zero",
        "Trained weights see other values at the edges.", "frame the image with zeros", _framed("reflect"),
    ),
    conv(
        "conv2d-padding-circular", "the frame wraps around, it is not zero",
        "Opposite edges of the image influence each other.", "frame the image with zeros", _framed("wrap"),
    ),
    conv(
        "conv2d-dilation-ignored", "dilation is ignored", "Units see less of the image.",
        "neighbours in the kernel are d pixels apart", moved(dilation=1),
    ),
    conv(
        "conv2d-dilation-swapped", "the dilations of rows and columns are swapped", OTHER_FUNCTION,
        "dilation = (rows, columns)", _swapped("dilation"),
    ),
    conv(
        "conv2d-dilation-first-for-both", "the first dilation is taken for both axes", OTHER_FUNCTION,
        "dilation = (rows, columns)", moved(dilation=lambda call: call.windows.dilation[0]),
    ),
    conv(
        "conv2d-dilation-counts-gaps", "dilation is taken as the number of gaps", OTHER_FUNCTION,
        "neighbours in the kernel are d pixels apart, d - 1 gaps between them",
        moved(dilation=_gaps),
    ),
    conv(
        "conv2d-dilated-extent", "a dilated kernel is taken to extend over d k pixels",
        "The last rows and columns of the image are not seen.", "it extends over d (k - 1) + 1 pixels",
        moved(output=_extent_without_one),
    ),
    conv(
        "conv2d-output-one-short", "the + 1 of the output's size is missing",
        "The last row and column of every map are lost.", "(n + 2p - k) // s + 1",
        moved(output=lambda y, call: y[..., :-1, :-1]),
    ),
    conv(
        "conv2d-output-rounded-up", "the output's size is rounded up",
        "A last window beyond the image makes maps larger than their weights expect.", "(n + 2p - k) // s + 1",
        moved(_rounded_up, padding=0),
    ),
)  # fmt: skip


# --- padding by name -------------------------------------------------------------------------------------------------


def _named(name: str, padding: Any) -> Replaces:
    """Other zeros for a padding by name: a function of the call that gives (before, after) for each axis."""

    def framed(x: Array, call: Call) -> Array:
        return frame(x, padding(call) if call.named == name else call.windows.padding)

    return moved(framed, padding=0)


def _split(total: int) -> tuple[int, int]:
    return total // 2, total - total // 2


def _same_undilated(call: Call) -> list[tuple[int, int]]:
    sizes = zip(call.x.shape[-2:], call.stride, call.windows.kernel, strict=True)
    return [_split(max((-(-n // s) - 1) * s + k - n, 0)) for n, s, k in sizes]


SAME = "out = ceil(n / s); total = max((out - 1) s + d (k - 1) + 1 - n, 0); before = total // 2"
NAMED = (
    conv(
        "conv-same-stride-symmetric-padding", '"same" pads (k - 1) // 2 zeros on either side', SHIFTED, SAME,
        _named("same", lambda call: [((e - 1) // 2,) * 2 for e in call.windows.extent]),
        "vtjeng/MIPVerify.jl/pull/23", "tensorflow/tensorflow/issues/17654",
        "zylo117/Yet-Another-EfficientDet-Pytorch/issues/352",
    ),
    conv(
        "conv2d-same-symmetric-undilated", '"same" pads (k - 1) // 2 zeros whatever the dilation', SHIFTED, SAME,
        _named("same", lambda call: [((k - 1) // 2,) * 2 for k in call.windows.kernel]),
    ),
    conv(
        "conv2d-same-half-kernel", '"same" pads k // 2 zeros on either side', "Even kernels make images grow.", SAME,
        _named("same", lambda call: [(k // 2,) * 2 for k in call.windows.kernel]),
    ),
    conv(
        "conv-same-pad-axes-swapped", 'the rows\' zeros of "same" go to the columns', OTHER_FUNCTION, SAME,
        _named("same", lambda call: call.windows.padding[::-1]), "autogluon/autogluon/pull/438",
    ),
    conv(
        "conv2d-same-without-stride", '"same" pads as for stride 1', SHIFTED, SAME,
        _named("same", lambda call: [_split(e - 1) for e in call.windows.extent]),
    ),
    conv(
        "conv2d-same-without-dilation", '"same" pads as for dilation 1', "Dilated layers shrink the image.", SAME,
        _named("same", _same_undilated),
    ),
    conv(
        "conv2d-same-is-valid", '"same" pads nothing', "The image shrinks with every layer.", SAME,
        _named("same", lambda call: [(0, 0), (0, 0)]),
    ),
    conv(
        "conv2d-same-half-kernel-with-groups", 'with groups "same" pads k // 2 zeros on either side', SHIFTED, SAME,
        _named("same", lambda call: [(k // 2,) * 2 for k in call.windows.kernel]
               if call.groups > 1 else call.windows.padding),
    ),
    conv(
        "conv2d-full-axes-swapped", 'the rows\' zeros of "full" go to the columns', OTHER_FUNCTION,
        "d (k - 1) zeros on either side", _named("full", lambda call: call.windows.padding[::-1]),
    ),
    conv(
        "conv2d-full-pads-k", '"full" pads k zeros, one too many', OTHER_FUNCTION, "d (k - 1) zeros on either side",
        _named("full", lambda call: [(e, e) for e in call.windows.extent]),
    ),
    conv(
        "conv2d-full-without-dilation", '"full" pads as for dilation 1', OTHER_FUNCTION,
        "d (k - 1) zeros on either side",
        _named("full", lambda call: [(k - 1, k - 1) for k in call.windows.kernel]),
    ),
)  # fmt: skip

WINDOWS = (*SETTINGS, *NAMED)
