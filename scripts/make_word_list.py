"""Make nwp/text/data/english.txt: common English words, most frequent first, one a line.

    pip install wordfreq
    python scripts/make_word_list.py /usr/share/dict/scowl nwp/text/data/english.txt

Order comes from wordfreq 3.1.1 (CC BY-SA 4.0; Robyn Speer et al.), capital letters from SCOWL
(Debian package `scowl`): a word that SCOWL knows only with a capital ("London", "Monday") is
written so. The letter of both licences stands beside the list.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from wordfreq import top_n_list

SIZE = 20_000
WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
# Informal words that a word list made for spelling does not hold, kept because people type them.
ALWAYS_LOWER = {
    "ok",
    "lol",
    "gonna",
    "wanna",
    "gotta",
    "yeah",
    "hmm",
    "omg",
    "http",
    "https",
    "www",
}
# Of two letters only these take capitals: the rest of SCOWL's ("AL", "DE") are chemical or postal signs.
SHORT_CAPITAL = {"tv", "uk", "un", "eu", "pc", "dc", "mr", "dr", "st", "jr", "ai", "ed", "jo"}


def scowl_words(folder: Path, kinds: tuple[str, ...], largest: int) -> set[str]:
    """All words of SCOWL lists of these kinds up to a size class, American and British."""
    words: set[str] = set()
    for path in folder.iterdir():
        name, _, size = path.name.rpartition(".")
        region, _, kind = name.partition("-")
        if region in {"english", "american", "british"} and kind in kinds and int(size) <= largest:
            words.update(path.read_text(encoding="latin-1").split())
    return words


def display_form(word: str, lower: set[str], capital: dict[str, str]) -> str:
    """How the word is written inside a sentence."""
    if word == "i" or word.startswith("i'"):
        return "I" + word[1:]
    if word in lower or word in ALWAYS_LOWER or (len(word) == 2 and word not in SHORT_CAPITAL):
        return word
    if word not in capital and word.endswith("'s") and word[:-2] not in lower:
        return capital.get(word[:-2], word[:-2]) + "'s"
    return capital.get(word, word)


def main() -> None:
    """Write the list."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    lower = scowl_words(folder, ("words", "contractions"), 60)
    proper = scowl_words(folder, ("upper", "proper-names", "abbreviations"), 60)
    capital = {w.lower(): w for w in sorted(proper) if w != w.lower()} | {"eu": "EU", "ed": "Ed"}
    words = [w for w in top_n_list("en", 2 * SIZE) if WORD.fullmatch(w)]
    words = [w for w in words if len(w) > 1 or w in {"a", "i", "o", "u", "x"}]
    out.write_text("\n".join(display_form(w, lower, capital) for w in words[:SIZE]) + "\n")


if __name__ == "__main__":
    main()
