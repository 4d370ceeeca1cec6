"""What the course demands of the archive: names, size, a zip for every system."""

import re
import zipfile
from pathlib import Path, PurePosixPath

from clip_lib.handin.rules import Rule

MEGABYTES = 50
"""Largest archive: Moodle servers often take no more."""


def check_archive(path, group: str) -> list[Rule]:
    """Check an archive: names, what each system can unpack, size."""
    path = Path(path)
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        damaged = archive.testzip()
    names = [entry.filename for entry in entries]
    tops = sorted({PurePosixPath(name).parts[0] for name in names})
    wrong = [
        f"{name}: expected a name that begins with {group}. or {group}_."
        for name in tops
        if not re.match(rf"{re.escape(group)}[._]", name)
    ]
    demanded = [f"{group}.pdf", f"{group}_ProjetClip.ipynb", f"{group}_ProjetClip.pdf"]
    wrong += [f"{name} is missing." for name in demanded if name not in names]
    if path.name.lstrip(".").partition(".")[0] != group:
        wrong.append(f"{path.name}: expected {group}.zip.")
    exotic = [f"{damaged} is damaged."] if damaged else []
    for entry in entries:
        if entry.compress_type not in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
            exotic.append(f"{entry.filename}: compressed in a way Windows cannot read.")
        if fault := _portable(entry.filename):
            exotic.append(f"{entry.filename}: {fault}.")
        if entry.flag_bits & 1:
            exotic.append(f"{entry.filename}: needs a password.")
        if (entry.external_attr >> 16) & 0o170000 == 0o120000:
            exotic.append(f"{entry.filename}: a link, which Windows cannot unpack.")
    lower = [name.lower() for name in names]
    exotic += [
        f"{name}: twice, upper and lower case being the same to Windows."
        for name, same in zip(names, lower, strict=True)
        if lower.count(same) > 1
    ]
    size = path.stat().st_size / 1e6
    heavy = [f"{size:.1f} MB: remove large figures from the report or the notebook."]
    return [
        Rule("the group's number stands in each name", tuple(wrong)),
        Rule("a plain zip that every system unpacks", tuple(exotic)),
        Rule(
            f"at most {MEGABYTES} MB ({size:.1f} MB)",
            tuple(heavy if size > MEGABYTES else ()),
        ),
    ]


def _portable(name: str) -> str:
    """Say why a name cannot be unpacked everywhere; nothing if it can."""
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name:
        return "leads out of its folder"
    if not name.isascii() or re.search(r'[<>:"|?*]', name):
        return "a name that some systems change"
    if any(part.endswith((".", " ")) for part in parts) or len(name) > 150:
        return "a name that Windows does not take"
    return ""
