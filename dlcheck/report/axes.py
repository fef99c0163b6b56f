"""Axes of figures: from values to pixels, with round ticks and short labels."""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values from ``low`` to ``high`` (their decimal logarithms where ``log``) to pixels ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def over(cls, values: Iterable[float], log: bool, start: float, end: float, room: float) -> "Axis":
        """The axis that shows all values and leaves ``room`` at both ends, as a share of their range."""
        places = [math.log10(v) if log else v for v in values]
        low, high = min(places), max(places)
        margin = (high - low) * room or max(abs(low) * 0.1, 0.5)
        return cls(low - margin, high + margin, start, end, log)

    def pixel(self, value: float) -> float:
        """Where a value lies, in pixels."""
        place = math.log10(value) if self.log else value
        return self.start + (place - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values within the axis, about five of them."""
        if not self.log:
            return _round_values(self.low, self.high)
        decades = range(math.ceil(self.low), math.floor(self.high) + 1)
        if len(decades) >= 3:
            return [10.0**k for k in decades[:: math.ceil(len(decades) / 6)]]
        low, high = 10**self.low, 10**self.high
        fine = [m * 10.0**k for k in range(math.floor(self.low), math.ceil(self.high) + 1) for m in (1, 2, 5)]
        within = [value for value in fine if low <= value <= high]
        return within if len(within) >= 2 else [value for value in _round_values(low, high) if value > 0]


def number(value: float) -> str:
    """A tick's label: short, with a true minus sign, and a power of ten where digits would run long.

    >>> number(-2.5e-6)
    '−2.5×10⁻⁶'
    """
    plain = value == 0 or 1e-3 <= abs(value) < 1e5
    mantissa, _, exponent = format(value, ".6g" if plain else ".5e").partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    if exponent:
        power = "10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        mantissa = {"1": power, "-1": "-" + power}.get(mantissa, f"{mantissa}×{power}")
    return mantissa.replace("-", "−")


def _round_values(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next((m for m in (1, 2, 5) if m * power >= rough), 10)
    digits = 12 - math.floor(math.log10(step))
    return [round(k * step, digits) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
