"""Numbers as French writes them, with a comma: in tables, in titles, on every axis."""

from matplotlib.scale import LinearScale, register_scale
from matplotlib.ticker import ScalarFormatter


def french(value: float, digits: int = 2) -> str:
    """Write a number with a comma, so many decimals and thin spaces; NaN as nothing."""
    if value != value:
        return ""
    # Not -0; and a NumPy number would round a half down: 0.805 to 0.80.
    text = f"{round(float(value), digits) + 0.0:,.{digits}f}"
    return text.replace(",", "\u202f").replace(".", ",")


class _Comma(ScalarFormatter):
    def __call__(self, x, pos=None):
        return super().__call__(x, pos).replace(".", ",")


class _FrenchScale(LinearScale):
    """The linear scale of every axis.

    Matplotlib would take the comma from the system's locale, which need not be French
    nor have French at all.
    """

    name = "linear"

    def __init__(self, axis=None):  # Matplotlib passes it up to version 3.10.
        super().__init__(axis)

    def set_default_locators_and_formatters(self, axis):
        super().set_default_locators_and_formatters(axis)
        axis.set_major_formatter(_Comma())


register_scale(_FrenchScale)
