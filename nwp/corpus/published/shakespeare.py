"""Shakespeare's characters, from the 37 plays of the Moby Shakespeare in okfn/shakespeare-material.

The recipe:

- The files are `texts/moby/PLAY_moby.xml`, in order of their names; Jon Bosak's markup.
- A message is a speech: its lines, without the stage directions in them, joined by spaces.
- The user is play and speaker, in capitals (`hamlet/HAMLET`); of several speakers the first has it.
  Speeches of nobody, of ALL and of BOTH are dropped.
- Users come in the order in which they first speak; those with fewer than 200 words are dropped.
  Here a word is a piece between spaces with a letter or digit in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from nwp.corpus.published.archive import enough_words, found_in
from nwp.corpus.published.markup import elements
from nwp.corpus.source import Entry, Source
from nwp.corpus.types import Message, Tally

FILE = re.compile(r"(?:^|/)texts/moby/([^/]+)_moby\.xml$")
EVERYBODY = re.compile(r"(?:ALL|BOTH)\b")


def rebuild(source: Source) -> Iterator[Message]:
    """The messages as the recipe above has them."""
    for file in sorted(found_in(source, FILE, "texts/moby/*_moby.xml"), key=lambda f: f.parts):
        [play] = file.parts
        characters: dict[str, list[str]] = {}
        for speaker, text in speeches(file.entry, Tally()):
            if speaker and text and not EVERYBODY.match(speaker):
                characters.setdefault(speaker, []).append(text)
        for speaker, texts in characters.items():
            if enough_words(texts):
                yield from (Message(f"{play}/{speaker}", text) for text in texts)


def speeches(entry: Entry, tally: Tally) -> Iterator[tuple[str, str]]:
    """The speeches of a play in Bosak's markup: the first speaker in capitals, and the text.

    Either may be "". BadCorpus, or a count in a lenient tally, for what is no XML.
    """
    for speech in elements(entry, "SPEECH", tally):
        speaker = _joined(speech.findtext("SPEAKER") or "")
        lines = (_joined(_own_text(line)) for line in speech.iter("LINE"))
        yield speaker.upper(), " ".join(filter(None, lines))


def _own_text(line: Element) -> str:
    """The text of an element without that of the elements in it."""
    return (line.text or "") + "".join(child.tail or "" for child in line)


def _joined(text: str) -> str:
    return " ".join(text.split())
