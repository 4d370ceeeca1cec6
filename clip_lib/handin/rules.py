"""What a team hands in, and a rule that it keeps or breaks."""

import dataclasses
import re
from pathlib import Path

import pandas as pd


@dataclasses.dataclass(frozen=True)
class Rule:
    """One demand, and what is wrong with it.

    Attributes:
        name: What is demanded.
        faults: What is wrong and how to mend it, a sentence each; none if it is kept.
    """

    name: str
    faults: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n      ".join([self.name, *self.faults])


@dataclasses.dataclass(frozen=True)
class HandIn:
    """What a team hands in.

    Attributes:
        group: Number of the group.
        members: Table of `read_team`.
        depositors: Who puts it on Moodle, see `team.depositors`.
        report: PDF of the report.
        notebook: The executed notebook.
        notebook_pdf: The same as PDF.
        root: The project's folder: the notebook that was executed, and the library.
    """

    group: str
    members: pd.DataFrame
    depositors: list[str]
    report: Path
    notebook: Path
    notebook_pdf: Path
    root: Path

    @property
    def names(self) -> dict[str, Path]:
        """The files under the names that the course demands."""
        return {
            f"{self.group}.pdf": self.report,
            f"{self.group}_ProjetClip.ipynb": self.notebook,
            f"{self.group}_ProjetClip.pdf": self.notebook_pdf,
        }

    @property
    def has_number(self) -> bool:
        """Whether the group has a number as the course's list has it."""
        return bool(re.fullmatch("[1-9][0-9]*", self.group))
