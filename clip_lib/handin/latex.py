"""Words, numbers and tables as LaTeX reads them, in French."""

import re
import unicodedata

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    # As it was typed: TeX would print another character, which a search does not find.
    "'": r"\textquotesingle{}",
    '"': r"\textquotedbl{}",
    "→": r"\ensuremath{\rightarrow}",
    "±": r"\ensuremath{\pm}",
}


def escape(text) -> str:
    """Write a text so that LaTeX prints these very characters, on one line.

    ``\\coupe``, of report/resultats.sty, keeps apart what TeX would join.

    Letters stay as they are, accents included: the report is compiled by LuaLaTeX.
    """
    # A Mac may give an accent as a character of its own.
    text = " ".join(unicodedata.normalize("NFC", str(text)).split())
    text = "".join(SPECIAL.get(character, character) for character in text)
    # Two of these in a row would become a dash or a quotation mark.
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
    text = f"{abs(value):,.{digits}f}".replace(",", r"\,").replace(".", "{,}")
    negative = value < 0 and any(character in "123456789" for character in text)
    return r"\ensuremath{-}" + text if negative else text


def decimal_commas(text: str) -> str:
    """Escape a cell of a table, and give its numbers a decimal comma."""
    text = re.sub(r"(\d)\.(\d)", r"\1{,}\2", escape(text))
    text = re.sub(r"(?<![\w-])-(?=\d)", r"\\ensuremath{-}", text)
    return text.replace(r" \ensuremath{\pm} ", r"~\ensuremath{\pm}~")


def tabular(alignment: str, header: list[str], rows) -> str:
    """Lay out a table in booktabs style.

    Args:
        alignment: A letter a column: l, r or c.
        header: Heading of each column, in LaTeX.
        rows: Lists of cells, in LaTeX; None draws a line.
    """
    lines = [rf"\begin{{tabular}}{{{alignment}}}", r"\toprule"]
    lines += [" & ".join(header) + r" \\", r"\midrule"]
    lines += [r"\midrule" if row is None else " & ".join(row) + r" \\" for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])
