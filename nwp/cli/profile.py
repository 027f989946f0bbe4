"""A corpus's profile on one screen of a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from nwp.cli.output import out, percent
from nwp.wording import many

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_WIDTH = 100  # columns that anything is spread over, at most
_NOTED = 0.001  # share of the words from which on a script's fault is worth a line
_LANGUAGES = 5
_LEAST = 0.0005  # share of a language that shows as more than 0.0%
_QUANTILES = {
    "min": "min",
    "p10": "10%",
    "p25": "25%",
    "median": "median",
    "p75": "75%",
    "p90": "90%",
    "max": "max",
    "mean": "mean",
}
_EIGHTHS = " ▏▎▍▌▋▊▉"


def print_profile(found: Mapping[str, Any]) -> None:
    """Print what `nwp.tasks.showing.show_corpus` returned."""
    from rich.text import Text

    console = out()
    width = min(console.width, _WIDTH)
    console.print(
        Text.assemble(
            (plain(found["name"]), "bold"),
            f": {many(found['users'], 'user')}, {many(found['messages'], 'message')}, "
            f"{many(found['words'], 'word')}",
        )
    )
    console.print(f"read as {found['format']}; {_span(found['time'], found['messages'])}\n")
    console.print(_quantile_table(found))
    console.print()
    for line in histogram_lines(found["histogram"], width, unicode=_has_blocks(console.encoding)):
        console.print(line)
    console.print()
    facts = list(_facts(found))
    titles = max(len(title) for title, _, _ in facts)
    for title, told, style in facts:
        for row in _row(title, told, style, titles, width):
            console.print(row)


def histogram_lines(
    histogram: Mapping[str, Sequence[int]], width: int, *, unicode: bool = True
) -> Iterator[str]:
    """A title, then a line for each bin: from and to, how many, a bar. No bin with users is without
    a bar, and the longest fits."""
    edges, counts = histogram["edges"], histogram["counts"]
    labels = [_range(low, high) for low, high in pairwise(edges)]
    names = max(len("words"), *map(len, labels))
    numbers = max(len("users"), *(len(f"{count:,}") for count in counts))
    room = max(width - names - numbers - 4, 8)
    yield f"{'words':>{names}}  {'users':>{numbers}}"
    for label, count in zip(labels, counts, strict=True):
        bar = _bar(count / max(*counts, 1), room, unicode)
        yield f"{label:>{names}}  {count:>{numbers},}  {bar}".rstrip()


def plain(text: str) -> str:
    """Without control characters: they would drive the terminal."""
    from nwp.corpus.lines import clean

    return clean(text)


def _bar(share: float, room: int, unicode: bool) -> str:
    if not share:
        return ""
    if not unicode:
        return "#" * max(round(share * room), 1)
    whole, eighths = divmod(max(round(share * room * 8), 1), 8)
    return "█" * whole + _EIGHTHS[eighths].strip()


def _has_blocks(encoding: str) -> bool:
    return encoding.lower().startswith("utf")


def _range(low: int, high: int) -> str:
    return f"{low:,}" if high - low == 1 else f"{low:,} to {high - 1:,}"


def _quantile_table(found: Mapping[str, Any]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", no_wrap=True)
    for title in _QUANTILES.values():
        table.add_column(title, justify="right", no_wrap=True)
    for title, key in (
        ("words per user", "words_per_user"),
        ("messages per user", "messages_per_user"),
    ):
        table.add_row(title, *(_short(found[key][name]) for name in _QUANTILES))
    return table


def _row(title: str, told: str, style: str, titles: int, width: int) -> Iterator[Text]:
    """A fact, broken into lines beside its title."""
    from rich.text import Text

    lines = Text(told, style).wrap(out(), max(width - titles - 2, 20))
    for number, line in enumerate(lines):
        line.rstrip()
        head = title if number == 0 else ""
        yield Text.assemble((f"{head:<{titles}}  ", style or "bold"), line)


def _facts(found: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """A title, what there is to say, and its style."""
    oov, repeats = found["oov"], found["duplicates"]
    yield (
        "words",
        f"{found['words_per_message']:.1f} a message; {found['distinct_words']:,} different",
        "",
    )
    yield "languages", _languages(found["languages"]), ""
    yield (
        "unknown words",
        f"{percent(oov['model'])} to the model {found['model']!r}; {percent(oov['own_vocabulary'])} "
        f"to a vocabulary of the corpus's own {found['vocabulary']:,}",
        "",
    )
    if repeats["messages"]:
        yield (
            "repeated",
            f"{percent(repeats['share'])} of {many(repeats['messages'], 'message')} of four words "
            f"or more: {repeats['by_the_same']:,} by the same user, {repeats['by_another']:,} by "
            "another",
            "",
        )
    title = "typical words"
    for user, words in found["typical"].items():
        if words:
            yield title, f"{plain(user)}: {', '.join(words)}", ""
            title = ""
    for line in _warnings(found):
        yield "note", line, "yellow"
    for title, key in (("left out", "skipped"), ("remarks", "remarks")):
        if found[key]:
            told = ", ".join(f"{count:,} x {reason}" for reason, count in found[key].items())
            yield title, told, ""
    if found["unordered"]:
        yield (
            "order",
            f"{many(found['unordered'], 'user')} in the order of the source, not by time: only "
            "some of their messages have one",
            "",
        )


def _warnings(found: Mapping[str, Any]) -> Iterator[str]:
    from nwp.text.scripts import CUT_UP, NO_SPACES, in_words

    scripts = found["scripts"]
    for fault in (NO_SPACES, CUT_UP):
        told = scripts[fault]
        if told["share"] >= _NOTED:
            yield (
                f"{many(told['words'], 'word')} ({percent(told['share'])}) "
                f"{_are(told['words'])} in {in_words(fault, list(told['scripts'])[:3])}"
            )
    cut = sum(scripts["marks apart"].values())
    if cut >= _NOTED * max(found["words"], 1):
        yield (
            f"{many(cut, 'word')} {_are(cut)} cut at accents or vowel points that are spelt apart "
            f"from their letters "
            f"({', '.join(scripts['marks apart'])}): nwp reads the pieces as words"
        )


def _languages(shares: Mapping[str, float]) -> str:
    from nwp.text.languages import LANGUAGES

    told = [
        f"{LANGUAGES.get(code, code)} {percent(share)}"
        for code, share in list(shares.items())[:_LANGUAGES]
        if share >= _LEAST
    ]
    rest = sum(list(shares.values())[_LANGUAGES:])
    return ", ".join([*told, f"others {percent(rest)}"] if rest >= _LEAST else told) or "unknown"


def _span(time: Mapping[str, Any], messages: int) -> str:
    if time["first"] is None:
        return "no message has a time"
    span = f"{time['first'][:10]} to {time['last'][:10]}"
    if time["missing"]:
        span += f"; {time['missing']:,} of {messages:,} messages have no time"
    return span


def _short(number: float) -> str:
    """A number in six characters or few more."""
    if number >= 1e6:
        return f"{number / 1e6:,.1f}M"
    return f"{number / 1e3:,.0f}k" if number >= 1e5 else f"{number:,.0f}"


def _are(words: int) -> str:
    return "is" if words == 1 else "are"
