"""What a person's own typing teaches, on their machine alone. See `docs/personal.md`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nwp.errors import Refused
from nwp.files import data_home

if TYPE_CHECKING:
    from nwp.personal.suggesting import PersonalSuggester
    from nwp.suggest.suggester import Reads


def personal_file() -> Path:
    """Where it is kept: `personal.sqlite` in NWP_HOME, else in the user's own place for data."""
    return data_home() / "personal.sqlite"


def load(suggester: Reads, path: Path | None = None) -> PersonalSuggester | None:
    """A suggester that learns, or None where personal learning is not on; then no file is made."""
    path = path or personal_file()
    if not path.exists():
        return None
    from nwp.personal.store import Personal
    from nwp.personal.suggesting import PersonalSuggester

    personal = Personal.open(path)
    if not personal.settings()["on"]:
        personal.close()
        return None
    return PersonalSuggester(suggester, personal)


def require(suggester: Reads, path: Path | None = None) -> PersonalSuggester:
    """As `load`; Refused where personal learning is not on."""
    if found := load(suggester, path):
        return found
    raise Refused(
        "personal learning is off",
        "`nwp personal on` turns it on: what you send is then counted, on this machine alone.",
    )
