"""Recognise, in the report that a team hands in, the prose that the repository ships.

``shipped.json`` lists hashes of pieces of it, of `LENGTH` letters each, by section:
what LaTeX makes of a line, a hyphen or a number changes none. Whoever changes the
shipped sections writes it anew: ``python -m clip_lib.handin.own_words``.
"""

import hashlib
import json
import re
from pathlib import Path

from clip_lib.atomic import replacing
from clip_lib.errors import ClipError
from clip_lib.handin.document_text import letters

MOST = 1 / 3
"""Largest share of a shipped section that may still stand in a report."""
FEWEST = 20
"""Fewer pieces than these of a section are too few to judge it by."""
LENGTH, EVERY = 30, 16
"""Letters of a piece, five or six words; and of so many pieces one is kept."""
SHIPPED = Path(__file__).with_name("shipped.json")
SECTIONS = Path(__file__).parents[2] / "report" / "sections"
_BREAK = "\0"
# Figures, formulas and definitions are no prose, and a table's words are its numbers'.
_NO_PROSE = (
    (r"(?<!\\)%.*", ""),
    (r"(?s)\\newcommand.*?(?=\\newcommand|\\begin|\n\n)", _BREAK),
    (r"(?s)\\begin\{(tabular|equation|thebibliography)\}.*?\\end\{\1\}", _BREAK),
    (r"\$.*?\$|\\resultat\{(model|config)/.*?\}", _BREAK),
    (r"\\(begin|end|(sub)?section)\{.*?\}", _BREAK),
    (r"(?s)\\(resultat|constat|cite|ref|label|figuregeneree)\{.*?\}", ""),
    (r"\\[a-zA-Z]+", ""),
)


def shipped_shares(text: str) -> dict[str, float]:
    """Return, for each shipped section, the share of its prose that a text has."""
    found, sections = _marks([text]), json.loads(SHIPPED.read_text(encoding="utf-8"))
    return {
        name: len(found.intersection(marks)) / len(marks)
        for name, marks in sections.items()
    }


def shares_line(text: str) -> str:
    """Return these shares in words, largest first."""
    shares = sorted(shipped_shares(text).items(), key=lambda one: -one[1])
    return ", ".join(f"{name} {share:.0%}" for name, share in shares)


def _marks(texts) -> set[str]:
    found = set()
    for text in texts:
        text = re.sub(r"\d", "", letters(text))
        for start in range(len(text) - LENGTH + 1):
            piece = text[start : start + LENGTH].encode()
            digest = hashlib.blake2b(piece, digest_size=4).digest()
            if digest[0] % EVERY == 0:
                found.add(digest.hex())
    return found


def prose(section) -> str:
    """Return the prose of a section's file, a line for each stretch without a break."""
    source = Path(section).read_text(encoding="utf-8")
    for pattern, text in _NO_PROSE:
        source = re.sub(pattern, text, source)
    return "\n".join(" ".join(text.split()) for text in source.split(_BREAK))


def write_shipped() -> None:
    """Write `SHIPPED` from the sections as they are.

    Raises:
        ClipError: If they hold little of what is listed: they are a team's own.
    """
    proses = {path.stem: prose(path) for path in sorted(SECTIONS.glob("*.tex"))}
    if SHIPPED.is_file():
        shares = shipped_shares("\n".join(proses.values()))
        if sum(shares.values()) < len(shares) / 2:
            raise ClipError(f"{SECTIONS}: a team's own words are not to be listed.")
    marks = {name: sorted(_marks(text.split("\n"))) for name, text in proses.items()}
    lines = (
        f"  {json.dumps(name)}: {json.dumps(listed)}"
        for name, listed in marks.items()
        if len(listed) >= FEWEST
    )
    with replacing(SHIPPED) as temporary:
        temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    write_shipped()
