"""Write corpora/manifest.json from the corpus beside it: run after every edit of the text.

python scripts/make_manifest.py
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from nwp.corpus.readers import jsonl
from nwp.corpus.store import gather
from nwp.corpus.types import Corpus, Tally
from nwp.files import shipped, write_atomic
from nwp.text.tokenizer import words_of


def manifest(name: str, path: Path, corpus: Corpus) -> dict[str, object]:
    """What the manifest says of one corpus."""
    users = [
        {"user": user, "messages": len(messages), "words": sum(len(words_of(m)) for m in messages)}
        for user, messages in corpus.users.items()
    ]
    return {
        "name": name,
        "file": path.name,
        "licence": "CC BY 4.0",
        "language": "en",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "messages": corpus.messages,
        "words": sum(int(str(u["words"])) for u in users),
        "users": users,
    }


def main() -> None:
    """Write the manifest."""
    path = shipped("corpora") / "sample.jsonl"
    corpus = gather("sample", jsonl.read(path, tally := Tally()), tally)
    content = {"corpora": [manifest("sample", path, corpus)]}
    write_atomic(path.parent / "manifest.json", json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
