"""The forms that nwp reads: a module each, behind one registry."""

from __future__ import annotations

import functools
from importlib.metadata import entry_points

from nwp.corpus.readers import discord, folder, jsonl, leaf, matrix, messenger, slack, telegram
from nwp.corpus.readers.base import Reader
from nwp.corpus.readers.irc import reader as irc
from nwp.corpus.readers.mail import reader as mail
from nwp.corpus.readers.signal import reader as signal
from nwp.corpus.readers.sms import reader as sms
from nwp.corpus.readers.tables import reader as tables
from nwp.corpus.readers.tables import saved_dataset
from nwp.corpus.readers.whatsapp import reader as whatsapp
from nwp.corpus.source import Source
from nwp.errors import BadCorpus, BadSettings

_BUILT_IN: tuple[Reader, ...] = (
    whatsapp.READER,
    telegram.READER,
    discord.READER,
    messenger.READER,
    slack.READER,
    signal.READER,
    matrix.READER,
    sms.READER,
    mail.READER,
    irc.READER,
    leaf.READER,
    saved_dataset.READER,
)
"""Formats that can be told by what is in them, the most particular first."""
_GENERAL: tuple[Reader, ...] = (tables.READER, jsonl.READER, folder.READER)
"""What is left: tried after all others, also after those of other packages."""

ENTRY_POINTS = "nwp.readers"


@functools.cache
def readers() -> tuple[Reader, ...]:
    """All readers in the order in which they are tried.

    BadSettings for one of another package that can't be loaded, or has a name that is taken.
    """
    found: list[Reader] = []
    taken = {reader.name for reader in (*_BUILT_IN, *_GENERAL)}
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        try:
            reader = point.load()
        except Exception as error:
            raise _broken(point.value, f"can't be loaded: {error}") from error
        if not isinstance(reader, Reader) or reader.name in taken:
            raise _broken(point.value, "is no Reader, or its name is taken")
        taken.add(reader.name)
        found.append(reader)
    return (*_BUILT_IN, *found, *_GENERAL)


def reader_for(source: Source, name: str = "") -> Reader:
    """The reader of that name, or the first that recognises the source.

    BadSettings for an unknown name, BadCorpus when none does.
    """
    known = {reader.name: reader for reader in readers()}
    if name:
        if name not in known:
            raise BadSettings(f"no format {name!r}", f"Formats: {', '.join(known)}.")
        return known[name]
    for reader in readers():
        if reader.recognises(source):
            return reader
    raise BadCorpus(
        f"{source.path} is in no form that nwp reads",
        "`nwp corpus formats` lists them; --format says which one it is. "
        'Simplest are JSON lines ({"user": …, "text": …}), or a folder of text files.',
    )


def _broken(reader: str, why: str) -> BadSettings:
    return BadSettings(f"the reader {reader} {why}", "Update or remove the package it is from.")
