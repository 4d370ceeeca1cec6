"""What the course demands of the archive: names, size, a zip for every system."""

import re
import zipfile
from collections import Counter
from pathlib import Path, PurePosixPath

from clip_lib.handin.rules import Rule

MEGABYTES = 50
"""Largest archive: Moodle servers often take no more."""
LONGEST = 120
"""Letters of a name in it: Windows takes 259, the folder it is unpacked in included."""
_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)\d)(\..*)?", re.IGNORECASE)


def check_archive(path, group: str) -> list[Rule]:
    """Check an archive: names, what each system can unpack, size."""
    path = Path(path)
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        locked = any(entry.flag_bits & 1 for entry in entries)
        damaged = None if locked else archive.testzip()
    exotic = [f"{damaged} is damaged: make the archive again."] if damaged else []
    for entry in entries:
        if fault := _locked_in(entry) or _portable(entry.filename):
            exotic.append(f"{entry.filename}: {fault}.")
    names = [entry.filename for entry in entries]
    twice = Counter(name.lower() for name in names)
    exotic += [
        f"{name}: there twice, as Windows sees it; rename one."
        for name in names
        if twice[name.lower()] > 1
    ]
    size = path.stat().st_size / 1e6
    heavy = f"{size:.1f} MB: lighten the figures of the report or of the notebook."
    return [
        Rule("the group's number begins each name", tuple(_names(path, names, group))),
        Rule("a plain zip, which Windows opens as well", tuple(exotic)),
        Rule(f"at most {MEGABYTES} MB", (heavy,) if size > MEGABYTES else ()),
    ]


def _names(path: Path, names: list[str], group: str) -> list[str]:
    """Say which names are not those that the course asks for."""
    demanded = [f"{group}.pdf", f"{group}_ProjetClip.ipynb", f"{group}_ProjetClip.pdf"]
    tops = sorted({PurePosixPath(name).parts[0] for name in names} - {*demanded})
    wrong = [f"{name} is missing." for name in demanded if name not in names]
    wrong += [
        f"{name}: rename it, to begin with {group}_."
        for name in tops
        if not name.startswith(f"{group}_")
    ]
    if path.name != f"{group}.zip":
        wrong.append(f"{path.name}: rename it {group}.zip.")
    return wrong


def _locked_in(entry: zipfile.ZipInfo) -> str:
    """Say why an entry cannot be unpacked by Windows; nothing if it can."""
    if entry.flag_bits & 1:
        return "it needs a password; zip it without"
    if entry.compress_type not in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
        return "compressed in a way that Windows cannot read; use Deflate"
    if (entry.external_attr >> 16) & 0o170000 == 0o120000:
        return "a link, which Windows cannot unpack; put the file itself"
    return ""


def _portable(name: str) -> str:
    """Say why a name cannot be unpacked everywhere; nothing if it can."""
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name:
        return "it leads out of its folder; rename it"
    if not name.isascii() or not name.isprintable() or re.search(r'[<>:"|?*]', name):
        return "some systems change this name; rename it in plain letters"
    if any(part.endswith((".", " ")) or _DEVICE.fullmatch(part) for part in parts):
        return "Windows does not take this name; rename it"
    if len(name) > LONGEST:
        return f"a name of {len(name)} letters, too long for Windows; shorten it"
    return ""
