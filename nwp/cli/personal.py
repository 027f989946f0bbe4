"""`nwp personal`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nwp.cli.options.common import Json
from nwp.cli.output import err, out, print_json

if TYPE_CHECKING:
    from nwp.personal.store import Personal

app = typer.Typer(
    help="What your own typing has taught: see, forget, export, block.", no_args_is_help=True
)

Words = Annotated[list[str], typer.Argument(metavar="WORD...", help="Capitals make no difference.")]

_FIRST = """\
What you send from now on is counted: words, and which came after which. It stays on this machine,
in {path}, which only you can read. Words of four digits or more and
addresses are not kept. It fades: half of it with every {life:,} messages.
See it with `nwp personal list`, delete it with `nwp personal forget`, stop with `nwp personal off`."""


@contextlib.contextmanager
def _opened() -> Iterator[Personal]:
    from nwp.personal import personal_file
    from nwp.personal.store import Personal

    with contextlib.closing(Personal.open(personal_file())) as personal:
        yield personal


@app.command("on")
def on(
    after: Annotated[
        int | None,
        typer.Option(min=1, help="Uses until a word that the model doesn't know is suggested."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Learn from what is sent, and use it; off until you say this.

    Example:  nwp personal on --after 2
    """
    from nwp.personal.store import HALF_LIFE

    with _opened() as personal:
        personal.set("on", 1)
        if after is not None:
            personal.set("after", after)
        if as_json:
            print_json(_state(personal))
        else:
            out().print(_FIRST.format(path=personal.path, life=int(HALF_LIFE)))


@app.command("off")
def off(as_json: Json = False) -> None:
    """Neither learn nor use what was learnt. It stays until you forget it.

    Example:  nwp personal off
    """
    with _opened() as personal:
        personal.set("on", 0)
        if as_json:
            print_json(_state(personal))
        else:
            out().print(
                "personal learning is off; `nwp personal forget --all` deletes what is there"
            )


@app.command("status")
def status(as_json: Json = False) -> None:
    """Is it on, and how much is there?

    Example:  nwp personal status
    """
    with _opened() as personal:
        found = _state(personal)
    if as_json:
        print_json(found)
        return
    out().print(
        f"personal learning is {'on' if found['on'] else 'off (`nwp personal on` turns it on)'}"
    )
    out().print(
        f"{found['messages']:,} messages, {found['words']:,} words, {found['grams']:,} pairs and "
        f"triples, {found['blocked']:,} blocked words of your own"
    )
    out().print(f"new words are suggested after {found['after']} uses\n{found['file']}")


@app.command("list")
def list_words(as_json: Json = False) -> None:
    """Every word that was learnt, as you write it most: uses in all, and what is left of them.

    Example:  nwp personal list
    """
    with _opened() as personal:
        words, blocked = personal.words(), personal.blocked()
    if as_json:
        rows = [
            {"word": w.word, "surface": w.surface, "uses": w.uses, "weight": w.weight}
            for w in words
        ]
        print_json({"words": rows, "blocked": blocked})
        return
    if not words:
        out().print("nothing has been learnt yet")
    for w in words:
        out().print(f"{w.surface or w.word:<24} {w.uses:>6,} {w.weight:>10.1f}")
    if blocked:
        out().print(f"blocked: {', '.join(blocked)}")


@app.command("forget")
def forget(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[WORD]...", help="Words to forget.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that was learnt.")] = False,
    as_json: Json = False,
) -> None:
    """Delete words, and all that was learnt with them; afterwards the file holds no byte of them.

    Example:  nwp personal forget kajsa
    """
    from nwp.errors import BadInput

    if bool(words) == everything:
        raise BadInput("name words to forget, or --all, not both", "See `nwp personal list`.")
    with _opened() as personal:
        if everything:
            gone = personal.status().words
            personal.forget_all()
            found: dict[str, Any] = {"forgotten": gone}
        else:
            named = personal.forget(words or [])
            found = {"forgotten": len(named), "words": named}
    if as_json:
        print_json(found)
    else:
        out().print(f"{found['forgotten']:,} words are forgotten")


@app.command("export")
def export(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to; else standard output.")
    ] = None,
    as_json: Json = False,
) -> None:
    """All that was learnt, as JSON lines. A file is for you alone (0600).

    Example:  nwp personal export mine.jsonl
    """
    from nwp.files import write_atomic

    if as_json and file is None:
        from nwp.errors import BadInput

        raise BadInput("--json tells of a file", "Name one; without it the lines are JSON anyway.")
    with _opened() as personal:
        lines = [json.dumps(row, ensure_ascii=False) for row in personal.exported()]
    if file is None:
        for line in lines:
            print(line)
        return
    write_atomic(file, "\n".join(lines) + "\n", 0o600)
    if as_json:
        print_json({"file": str(file), "lines": len(lines)})
    else:
        out().print(f"{file}: {len(lines):,} lines")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `export` wrote.")],
    as_json: Json = False,
) -> None:
    """Take in an export. Numbers become the greater of both; twice is the same as once.

    Example:  nwp personal import mine.jsonl
    """
    from nwp.errors import BadInput

    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} can't be read: {error}", "Give a file of `export`.") from error
    with _opened() as personal:
        taken = personal.import_(lines)
    if as_json:
        print_json({"file": str(file), "lines": taken})
    else:
        out().print(f"{taken:,} lines taken in")


@app.command("block")
def block(words: Words, as_json: Json = False) -> None:
    """Never suggest these words, nor their plurals and possessives, whatever is learnt.

    Example:  nwp personal block deadline
    """
    from nwp.errors import BadInput
    from nwp.text.tokenizer import words_of

    for word in words:
        if len(words_of(word)) != 1 or words_of(word)[0] != word.lower().replace("’", "'"):
            raise BadInput(f"{word!r} is not one word", "Give words without spaces and marks.")
    with _opened() as personal:
        personal.block(words)
        blocked = personal.blocked()
    if as_json:
        print_json({"blocked": blocked})
    else:
        out().print(f"blocked: {', '.join(blocked)}")


@app.command("unblock")
def unblock(words: Words, as_json: Json = False) -> None:
    """Take words off your own list. The list that ships stays.

    Example:  nwp personal unblock deadline
    """
    with _opened() as personal:
        gone = personal.unblock(words)
        blocked = personal.blocked()
    if as_json:
        print_json({"unblocked": gone, "blocked": blocked})
        return
    if missing := sorted({w.lower() for w in words} - set(gone)):
        err().print(f"not on your list: {', '.join(missing)}")
    out().print(f"blocked: {', '.join(blocked) or 'nothing of your own'}")


def _state(personal: Personal) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(personal.status()) | {"file": str(personal.path)}
