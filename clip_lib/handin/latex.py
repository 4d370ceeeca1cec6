"""Write words and numbers as LaTeX reads them, in French."""

import re
import unicodedata

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    # As typed: TeX would print another character, which a search does not find.
    "'": r"\textquotesingle{}",
    '"': r"\textquotedbl{}",
} | {character: f"\\{character}" for character in "{}$&#%_"}


def escape(text) -> str:
    """Write a text so that LaTeX prints these very characters, on one line.

    Letters stay as they are, accents included: the report is compiled by LuaLaTeX.
    """
    # A Mac may give an accent as a character of its own.
    text = " ".join(unicodedata.normalize("NFC", str(text)).split())
    text = "".join(_SPECIAL.get(character, character) for character in text)
    # Two of these in a row would become a dash or a quotation mark: \coupe, of
    # report/resultats.sty, keeps them apart.
    return re.sub(r"([-<>,?!])(?=[-<>,\\])", r"\1\\coupe{}", text)


def number(value: float, digits: int | None = None) -> str:
    """Write a number, with a decimal comma; good in text and in formulas.

    Args:
        value: The number.
        digits: Decimals. By default none for an int; two for a float, fewer from 10 on;
            and a very small one as a power of ten.
    """
    if digits is None:
        if isinstance(value, int):
            digits = 0
        elif 0 < abs(value) < 0.005:
            mantissa, exponent = f"{value:.0e}".split("e")
            return rf"\ensuremath{{{mantissa}\times 10^{{{int(exponent)}}}}}"
        else:
            digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    text = f"{round(value, digits) + 0.0:,.{digits}f}"  # Never -0.
    text = text.replace(",", r"\,").replace(".", "{,}")
    return text.replace("-", r"\ensuremath{-}")
