"""XML of any size, element by element, without the entities that could fill the memory."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

from nwp.corpus.source import Entry
from nwp.corpus.types import Tally
from nwp.errors import BadCorpus


def elements(entry: Entry, tag: str, tally: Tally) -> Iterator[Element]:
    """The elements of one name, in order; each is whole only until the next is asked for.

    BadCorpus when the file is no XML, only half of it, or defines entities; when the tally is
    lenient, what comes before the damage is kept and the rest counted as "half a file".
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    around: list[Element] = []
    with entry.open() as file:
        try:
            for event, element in iterparse(file, events=("start", "end")):
                if event == "start":
                    around.append(element)
                    continue
                around.pop()
                if element.tag == tag:
                    yield element
                    if around:
                        around[-1].clear()  # what is read is done with: a file may be long
        except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
            if not tally.lenient:
                raise BadCorpus(
                    f"{entry.place} is no XML, or only half of it: {error}",
                    "Is the file whole? Fetch it again.",
                ) from error
            tally.skip("half a file")
