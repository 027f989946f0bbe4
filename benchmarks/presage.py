"""How often presage guesses the next word, on the words that `benchmarks/keyboard.py` counts.

    python benchmarks/presage.py ami.jsonl.gz --every 10

presage (0.9.1, as Debian packages it) with its own English n-grams, its learning off and an empty home. The
words of a message are given to `presage_demo_text` one by one, lower-cased; it answers three words after
each. Its context goes on over messages, which it can't be told the borders of: a full stop stands there.
The program must be installed; nothing else of it is used.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from nwp.corpus.load import load_corpus
from nwp.corpus.split import part_of
from nwp.text.tokenizer import words_of

_CONFIG = Path("/etc/presage.xml")
_SETTINGS = {"ONLINE_LEARNING": "no", "REPEAT_SUGGESTIONS": "yes", "SUGGESTIONS": "3"}
_SHOWN = 3


def main() -> None:
    """Print one JSON object: words asked, shares in top-1 and top-3, milliseconds a guess."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", help="a file, a folder or a known name")
    parser.add_argument("--part", choices=("valid", "test"), default="test")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th user")
    given = parser.parse_args()
    corpus = load_corpus(given.corpus)
    messages = [
        words_of(text)
        for user in sorted(corpus.users)[:: given.every]
        for text in part_of(corpus.users[user], given.part)
    ]
    wanted = [word for message in messages for word in message]
    lines = [line for message in messages if message for line in _typed(message)]
    with tempfile.TemporaryDirectory() as home:
        began = time.perf_counter()
        guesses = list(_asked(lines, Path(home)))
        seconds = time.perf_counter() - began
    hits = [word in some and some.index(word) for word, some in zip(wanted, guesses, strict=True)]
    found = {
        "words": len(wanted),
        "top1": sum(hit is not False and hit == 0 for hit in hits) / len(wanted),
        "top3": sum(hit is not False for hit in hits) / len(wanted),
        "milliseconds": 1000 * seconds / len(wanted),
    }
    print(json.dumps(found))


def _typed(message: list[str]) -> Iterator[str]:
    """What is typed before each word of a message."""
    yield ". "
    yield from (f"{word} " for word in message[:-1])


def _asked(lines: list[str], home: Path) -> Iterator[list[str]]:
    """Three guesses after each line. A context is read on by what is added to it; the last word of a
    message, after which nothing is asked, is not given."""
    text = _CONFIG.read_text(encoding="utf-8")
    for name, value in _SETTINGS.items():
        text, count = re.subn(f"<{name}>[^<]*</{name}>", f"<{name}>{value}</{name}>", text)
        assert count, name
    config = home / "presage.xml"
    config.write_text(text, encoding="utf-8")
    asked = home / "asked"
    asked.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    command = ["presage_demo_text", "--config", config, "--suggestions", str(_SHOWN)]
    environment = {**os.environ, "HOME": str(home)}
    with (
        asked.open() as given,
        subprocess.Popen(
            command, stdin=given, stdout=subprocess.PIPE, env=environment, text=True
        ) as program,
    ):
        assert program.stdout is not None
        guesses: list[str] = []
        answered = -1  # what stands before the first prompt is no answer
        for line in program.stdout:
            if line.startswith("> "):
                answered, guesses = max(answered, 0), []
            if line.startswith("-- Context"):
                yield guesses
                answered += 1
                if answered == len(lines):
                    program.kill()  # at its input's end it would go on for ever
                    return
            elif answered >= 0 and (word := line.removeprefix("> ").strip()):
                guesses.append(word.lower())


if __name__ == "__main__":
    main()
