"""Causal models of subwords, as Hugging Face's library saves them, as predictors of words.

Such a model predicts pieces, of which most that begin a word have a space in front. So a word is known
only once the next piece shows that it is over, and the product of a word's pieces alone is the
probability of all words that begin so. Here

    P(w | context) = p(pieces of w | context) B(context w) / Z(context)

where B is the probability that the next piece continues no word (it begins with a space or sign, or is
the end), and Z that the next piece begins a word or is the end. It is the treatment of Pimentel and
Meister (2024, "How to compute the probability of a word") and Oh and Schuler (2024, "Leading
whitespaces of language models' subword vocabulary pose a confound for calculating word
probabilities"), for words as they are counted here: what goes to signs between words is left out of Z.
The end has p(end | context) / Z, and the unknown word what the vocabulary leaves of Z. A word has the
pieces that the tokenizer gives it; its other spellings in pieces count to the unknown word.

The model reads a message's words, lower-cased, one space before each, after its begin-of-text piece.

Each word's B would take a step of the model. The vocabulary's pieces are a trie, and only beginnings
of words with a probability of `least` or more are followed, and the target's, so that -ln p of a word is
exact; words behind other beginnings share their probability alike. With `least` 0 all is exact.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nwp.errors import BadInput
from nwp.evaluation.counts import BoolArray, FloatArray, IntArray
from nwp.evaluation.ranking import Block, from_probabilities
from nwp.text.tokenizer import words_of
from nwp.text.vocabulary import END, FIRST_OUTPUT, FIRST_WORD, UNKNOWN, Encoded, Vocabulary

LEAST = 1e-3
_LEFT = (
    1e-9  # least probability of the unknown word: more than float32 rounds a sum by is not known
)
_PIECES = 4096  # that the model reads at once
_POSITIONS = 64  # of one block
_BEGINS = ("Ġ", "▁")  # how tokenizers write the space before a piece
_TRIED = 64  # words that are tokenized together, to see that they come apart


@dataclass(frozen=True)
class Node:
    """A beginning of words: `own` words have just these pieces, and `pieces` (children,) go on to
    `children` nodes. Its words are `start:stop` of the trie's order, its own first, then child by
    child, `sizes` (children,) of each."""

    start: int
    stop: int
    own: int
    pieces: IntArray
    children: tuple[Node, ...]
    sizes: IntArray


@dataclass(frozen=True)
class Trie:
    """A vocabulary's words by their pieces, `longest` of one word. `order` int64 (words,) is place to
    word."""

    root: Node
    order: IntArray
    longest: int

    @classmethod
    def of(cls, words: Sequence[tuple[int, ...]]) -> Trie:
        """From the pieces of each word."""
        order = sorted(range(len(words)), key=lambda i: words[i])

        def node(start: int, stop: int, depth: int) -> Node:
            at = start
            while at < stop and len(words[order[at]]) == depth:
                at += 1
            own, pieces, children = at - start, [], []
            while at < stop:
                piece, begin = words[order[at]][depth], at
                while at < stop and words[order[at]][depth] == piece:
                    at += 1
                pieces.append(piece)
                children.append(node(begin, at, depth + 1))
            sizes = np.array([c.stop - c.start for c in children], np.int64)
            return Node(start, stop, own, np.array(pieces, np.int64), tuple(children), sizes)

        longest = max(map(len, words), default=0)
        return cls(node(0, len(words), 0), np.array(order, np.int64), longest)


@dataclass(frozen=True)
class Subwords:
    """A model with its tokenizer over a vocabulary of words.

    `begins` and `ends` (pieces,) tell which pieces begin a word, and which show that one is over (the
    end `end` is of the latter). `begin` stands before each message. The model reads `window` pieces.
    """

    model: Any
    tokenizer: Any
    vocabulary: Vocabulary
    trie: Trie
    prefix: str
    begins: BoolArray
    ends: BoolArray
    begin: int
    end: int
    window: int
    least: float = LEAST

    def pieces_of(self, word: str) -> list[int]:
        """A word's pieces, with the space before it."""
        return _pieces(self.tokenizer, self.prefix + word)

    def reading(self, messages: Sequence[str]) -> Reading:
        """The predictor of these messages' words."""
        return Reading(self, messages)

    def words(self, context: Sequence[int], target: Sequence[int] | None = None) -> FloatArray:
        """P of every output, float64 (outputs,), after a context's pieces (without `begin`); beginnings
        of the `target`'s pieces are followed in any case."""
        kept = self.window - 1 - max(len(target or ()), self.trie.longest)
        before = [self.begin, *context[max(0, len(context) - kept) :]]
        p = self._after([before])[0]
        total = p[self.end] + p[self.begins].sum()
        shares = np.zeros(len(self.trie.order))
        level = [(self.trie.root, list[int](), 1.0)]
        nexts = p[None]
        while level:
            deeper = []
            for (node, path, mass), following in zip(level, nexts, strict=True):
                masses = mass * following[node.pieces]
                behind = node.start + node.own
                shares[behind : node.stop] = np.repeat(masses / node.sizes, node.sizes)
                if node.own:
                    shares[node.start : behind] = mass * following[self.ends].sum() / node.own
                followed = masses >= self.least * total
                if target is not None and path == list(target[: len(path)]):
                    followed |= node.pieces == (*target, -1)[len(path)]
                deeper += [
                    (node.children[i], [*path, int(node.pieces[i])], float(masses[i]))
                    for i in np.flatnonzero(followed).tolist()
                ]
            level = deeper
            nexts = self._after([before + path for _, path, _ in level]) if level else nexts
        found = np.empty(len(self.vocabulary) - FIRST_OUTPUT)
        found[FIRST_WORD - FIRST_OUTPUT + self.trie.order] = shares
        found[END - FIRST_OUTPUT] = p[self.end]
        left = total - p[self.end] - shares.sum()
        found[UNKNOWN - FIRST_OUTPUT] = max(left, _LEFT * total)
        found = np.maximum(found, np.finfo(np.float64).tiny)
        summed: FloatArray = found / found.sum()
        return summed

    def _after(self, sequences: Sequence[Sequence[int]]) -> FloatArray:
        """P of the next piece, float64 (n, pieces), after n sequences of one length."""
        found = []
        size = max(1, _PIECES // len(sequences[0]))
        more = {"logits_to_keep": 1} if _keeps(type(self.model)) else {}
        for start in range(0, len(sequences), size):
            ids = torch.tensor(sequences[start : start + size])
            logits = self.model(input_ids=ids, use_cache=False, **more).logits[:, -1]
            found.append(torch.softmax(logits.double(), 1).numpy())
        return np.concatenate(found)


@dataclass(frozen=True)
class Reading:
    """`Subwords` on some messages, whose words, known or not, it reads as they are."""

    model: Subwords
    messages: Sequence[str]

    def blocks(self, data: Encoded) -> Iterator[Block]:
        """See `nwp.evaluation.scoring.Predictor`; ValueError when `data` is of other messages."""
        written = [words for words in map(words_of, self.messages) if words]
        if [len(words) + 1 for words in written] != np.diff(data.offsets).tolist():
            raise ValueError("these are not the messages that were encoded")
        rows: list[FloatArray] = []
        first = 0
        with torch.inference_mode():
            for words in written:
                context: list[int] = []
                for word in (*words, None):
                    pieces = None if word is None else self.model.pieces_of(word)
                    known = word is not None and word in self.model.vocabulary.index
                    rows.append(self.model.words(context, pieces if known else None))
                    context += pieces or ()
                    if len(rows) == _POSITIONS:
                        yield self._block(data, first, rows)
                        first, rows = first + len(rows), []
            if rows:
                yield self._block(data, first, rows)

    @staticmethod
    def _block(data: Encoded, first: int, rows: Sequence[FloatArray]) -> Block:
        where = np.arange(first, first + len(rows))
        wanted = data.targets[where].astype(np.int64) - FIRST_OUTPUT
        p = torch.from_numpy(np.stack(rows))
        return from_probabilities(where, p, torch.from_numpy(wanted))


def load_subwords(folder: Path, vocabulary: Vocabulary, least: float = LEAST) -> Subwords:
    """Load a causal model from a folder: its own code is never run, nothing is fetched, weights are
    safetensors. BadInput where it doesn't fit, or the library is missing."""
    try:
        import transformers
    except ImportError as error:
        raise BadInput(
            f"{folder} is a model of Hugging Face's library, which is not installed",
            'Install it: pip install "nwp[huggingface]".',
        ) from error
    transformers.utils.logging.disable_progress_bar()
    safe: Mapping[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    place = str(folder.resolve())
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(place, **safe)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            place, use_safetensors=True, dtype=torch.float32, **safe
        )
        model.eval()
    except Exception as error:  # whatever a strange folder leads to inside the library
        reason = str(error).strip().partition("\n")[0][:200]
        raise BadInput(
            f"{folder} can't be loaded as a causal model: {reason}",
            "It needs config.json, the tokenizer's files and weights as safetensors.",
        ) from error
    return _fitted(folder, model, tokenizer, vocabulary, least)


def _fitted(
    folder: Path, model: Any, tokenizer: Any, vocabulary: Vocabulary, least: float
) -> Subwords:
    end = tokenizer.eos_token_id
    begin = end if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    size = int(model.get_output_embeddings().weight.shape[0])
    if end is None or len(tokenizer) > size:
        raise BadInput(
            f"{folder} has a tokenizer without an end, or with pieces that the model does not know",
            "Save the tokenizer that the model was trained with beside it.",
        )
    begins, ends = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
    special = set(tokenizer.all_special_ids)
    for i, piece in enumerate(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))):
        if i in special or piece is None:
            continue
        spaced = piece.startswith(_BEGINS)
        rest = tokenizer.decode([i]).removeprefix(" ") if spaced else tokenizer.decode([i])
        begins[i] = spaced and (not rest or _goes_on(rest[0]))
        ends[i] = spaced or (rest != "" and not _goes_on(rest[0]))
    ends[end] = True
    prefix, pieces = _apart(folder, tokenizer, vocabulary.words, begins)
    window = getattr(model.config, "max_position_embeddings", None) or 2048
    trie = Trie.of(pieces)
    if window < trie.longest + 2:
        raise BadInput(
            f"{folder} reads {window} pieces at once, and a word has {trie.longest}",
            "Take a model that reads more, or a vocabulary without words so long.",
        )
    return Subwords(
        model,
        tokenizer,
        vocabulary,
        trie,
        prefix,
        begins,
        ends,
        begin,
        end,
        window,
        least,
    )


def _goes_on(character: str) -> bool:
    """Does a character continue the word before it, or may it? Half a character (�) may."""
    return character in "'’�" or bool(words_of(character))


def _apart(
    folder: Path, tokenizer: Any, words: Sequence[str], begins: BoolArray
) -> tuple[str, list[tuple[int, ...]]]:
    """What to write before a word so that its first piece, and no other, begins one; and the pieces."""
    for prefix in (" ", ""):
        pieces = [tuple(_pieces(tokenizer, prefix + word)) for word in words]
        if all(p and begins[p[0]] and not begins[list(p[1:])].any() for p in pieces) and all(
            _pieces(tokenizer, prefix + " ".join(words[i : i + _TRIED]))
            == [piece for word in pieces[i : i + _TRIED] for piece in word]
            for i in range(0, len(words), _TRIED)
        ):
            return prefix, pieces
    raise BadInput(
        f"{folder} has a tokenizer whose words do not begin with a space",
        "Words can be told apart with byte-level BPE (GPT-2) and SentencePiece alone.",
    )


def _pieces(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _keeps(model: type) -> bool:
    """Can the model be told to give the last position's scores alone?"""
    return "logits_to_keep" in inspect.signature(model.forward).parameters  # type: ignore[attr-defined]
