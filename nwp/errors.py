"""Every error that nwp raises on purpose, in one tree.

    NwpError                     kind           exit code
    ├── BadInput                 bad-input          3      a file or value that can't be read
    │   ├── BadCorpus            bad-corpus         3
    │   ├── BadBundle            bad-bundle         3
    │   └── BadSettings          bad-settings       3
    ├── Refused                  refused            4      a policy, a budget or a quorum says no
    │   └── NoQuorum             no-quorum          4
    ├── BadMessage               bad-message        1      a message that breaks the protocol
    ├── TransportError           transport          1      the way to the others does not work now
    └── Interrupted              interrupted      130      stopped on request; can be resumed

Each says what happened and where (the message) and what to do about it (the hint). The command
line turns them into exit codes and JSON in one place, `nwp.cli.main`.
"""

from __future__ import annotations

from typing import ClassVar


class NwpError(Exception):
    """Base of every deliberate error: what happened, and a hint on what to do."""

    kind: ClassVar[str] = "failed"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadInput(NwpError):
    """A file, folder or value that can't be used as it is."""

    kind = "bad-input"
    exit_code = 3


class BadCorpus(BadInput):
    """A corpus that is missing, empty or not in a known form."""

    kind = "bad-corpus"


class BadBundle(BadInput):
    """A bundle of another version, or with a missing or damaged file."""

    kind = "bad-bundle"


class BadSettings(BadInput):
    """Settings that contradict each other or name something unknown."""

    kind = "bad-settings"


class Refused(NwpError):
    """A policy, a budget or a quorum does not allow what was asked."""

    kind = "refused"
    exit_code = 4


class NoQuorum(Refused):
    """Too few workers or users take part to go on."""

    kind = "no-quorum"


class BadMessage(NwpError):
    """A message between server and worker that breaks the protocol."""

    kind = "bad-message"


class Gone(BadMessage):
    """A message that was listed and can't be read any more: taken back, or another is in its place. Or it
    is not all there yet: a shared folder may bring its parts one after the other."""


class TransportError(NwpError):
    """What carries messages (a shared folder, Google Drive) does not work now: no network, no room, an
    expired token, too many requests. Nothing is known of the messages themselves, so try again later."""

    kind = "transport"


class Interrupted(NwpError):
    """Work stopped on request, at a point from which it can be resumed."""

    kind = "interrupted"
    exit_code = 130
