from __future__ import annotations

import bz2
import gzip
import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwp.errors import BadInput
from nwp.evaluation.ngrams import KneserNey
from nwp.evaluation.scoring import score
from nwp.foreign.arpa import read_arpa
from nwp.foreign.backoff import BackOff
from nwp.text.vocabulary import END, FIRST_OUTPUT, FIRST_WORD, UNKNOWN, Vocabulary, encode

TEXTS = [
    "the cat sat on the mat",
    "the cat ate the fish",
    "a dog sat on the cat",
    "it's the dog",
    "yes the dog sat on a mat, the dog",
    "zzz the zzz",
    "yes",
]
WORDS = ("the", "cat", "sat", "on", "a", "dog", "mat", "it's", "yes", "never")

SMALL = """made by hand

\\data\\
ngram 1=5
ngram 2=3

\\1-grams:
-99\t<s>\t-0.5
-0.7\t</s>
-1.0\t<unk>
-0.4\ta\t-0.2
-0.6\tb\t-0.3

\\2-grams:
-0.3\t<s> a
-0.2\ta b
-0.1\tb </s>

\\end\\
"""


def outputs_of(vocabulary: Vocabulary) -> list[str]:
    return ["</s>", "<unk>", *vocabulary.words]


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_every_distribution_is_that_of_the_definition(order, draw, put):
    slow = draw(order, order)
    arpa = read_arpa(put(slow.text(before="anything\n\\data\n")))
    model, outputs = BackOff.of(arpa), outputs_of(arpa.vocabulary)
    assert set(arpa.vocabulary.words) == {"a", "it's", "über", "7"}
    assert arpa.left_out == 3
    assert len(arpa.listed) == order
    ids = range(UNKNOWN, len(arpa.vocabulary))
    for length in range(min(order, 3) + 1):
        for context in itertools.product(ids, repeat=length):
            expected = slow.over(outputs, [outputs[i - FIRST_OUTPUT] for i in context])
            assert model.distribution(context) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 6])
def test_blocks_are_the_distributions_in_their_places(order, draw, put):
    arpa = read_arpa(put(draw(order, order, 0.3).text()))
    model = BackOff.of(arpa)
    data = encode(["a", "7 it's a, The über a 7 7 it's", "nobody knows a", "a a"], arpa.vocabulary)
    scored = score(model, data)
    for start, stop in itertools.pairwise(data.offsets.tolist()):
        for i in range(start, stop):
            p = model.distribution(data.targets[start:i].tolist())
            assert p.sum() == pytest.approx(1, abs=1e-12)
            assert scored.nll[i] == pytest.approx(-math.log(p[data.targets[i] - FIRST_OUTPUT]))
            assert scored.confidence[i] == pytest.approx(p[FIRST_WORD - FIRST_OUTPUT :].max())
    assert len(score(model, encode([], arpa.vocabulary)).nll) == 0


@pytest.mark.parametrize("digits", [17, 6])
def test_kneser_ney_written_to_a_file_gives_the_same(digits, as_arpa, put):
    vocabulary = Vocabulary.from_lists(WORDS, {})
    ours = KneserNey.fit([encode(TEXTS, vocabulary)], len(vocabulary))
    arpa = read_arpa(put(as_arpa(ours, vocabulary).text(digits)))
    assert sorted(arpa.vocabulary.words) == sorted(WORDS)
    theirs = BackOff.of(arpa)
    near = 1e-10 if digits == 17 else 1e-4
    unseen = ["the never cat sat", "dog cat mat a", "zzz yes", "the cat sat on the mat", "on"]
    for texts in (TEXTS, unseen):
        expected = score(ours, encode(texts, vocabulary)).nll
        found = score(theirs, encode(texts, arpa.vocabulary)).nll
        assert found == pytest.approx(expected, abs=near)


def test_by_hand(put):
    arpa = read_arpa(put(SMALL))
    assert arpa.vocabulary.words == ("a", "b")
    model = BackOff.of(arpa)
    # After the begin: a by its bigram, the others by 10 ** -0.5 times their own.
    raw = [10**-1.2, 10**-1.5, 10**-0.3, 10**-1.1]
    assert model.distribution([]) == pytest.approx([p / sum(raw) for p in raw])
    # After "a b": the end by its bigram, the others by b's weight.
    raw = [10**-0.1, 10**-1.3, 10**-0.7, 10**-0.9]
    assert model.distribution([FIRST_WORD, FIRST_WORD + 1]) == pytest.approx(
        [p / sum(raw) for p in raw]
    )
    # Nothing is known of what follows an unknown word.
    raw = [10**-0.7, 10**-1, 10**-0.4, 10**-0.6]
    assert model.distribution([UNKNOWN]) == pytest.approx([p / sum(raw) for p in raw])


@pytest.mark.parametrize(("name", "identity"), [("<unk>", UNKNOWN), ("</s>", END)])
@pytest.mark.parametrize("how", ["missing", "-99", "-inf"])
def test_end_and_unknown_have_a_share_where_the_file_gives_none(name, identity, how, put):
    text = "\\data\\\nngram 1=4\n\n\\1-grams:\n-0.7\t</s>\n-1\t<unk>\n-0.4\ta\n-0.6\tb\n\n\\end\\\n"
    line = re.search(f"-.*\t{name}\n", text)[0]
    if how == "missing":
        text = text.replace(line, "").replace("=4", "=3")
    else:
        text = text.replace(line, f"{how}\t{name}\n")
    arpa = read_arpa(put(text))
    p = BackOff.of(arpa).distribution([])
    raw = {"</s>": 10**-0.7, "<unk>": 10**-1, "a": 10**-0.4, "b": 10**-0.6, name: 1 / 4}
    assert p == pytest.approx([raw[w] / sum(raw.values()) for w in outputs_of(arpa.vocabulary)])
    assert p[identity - FIRST_OUTPUT] > 0.1


def test_a_word_without_probability_is_none_of_the_vocabulary(put):
    arpa = read_arpa(put(SMALL.replace("-0.4\ta\t", "-inf\ta\t")))
    assert arpa.vocabulary.words == ("b",)
    assert arpa.left_out == 1


def test_no_probability_at_all_is_the_least_that_the_format_has(put):
    zero = SMALL.replace("-0.2\ta b", "-inf\ta b").replace("-0.6\tb\t-0.3", "-0.6\tb\t-inf")
    least = zero.replace("-inf", "-99")
    assert zero != least
    found, same = (BackOff.of(read_arpa(put(text))) for text in (zero, least))
    for context in ([FIRST_WORD], [FIRST_WORD, FIRST_WORD + 1]):
        p = found.distribution(context)
        assert p.min() > 0
        assert np.array_equal(p, same.distribution(context))
    assert found.distribution([FIRST_WORD])[-1] == pytest.approx(1e-99, rel=2)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_packed_files_are_read_as_they_are(pack, tmp_path, put):
    path = tmp_path / "model.arpa.gz"
    path.write_bytes(pack(SMALL.encode()))
    packed, plain = read_arpa(path), read_arpa(put(SMALL))
    assert packed.vocabulary == plain.vocabulary
    for mine, same in zip(packed.grams, plain.grams, strict=True):
        assert np.array_equal(mine.ids, same.ids)
        assert np.array_equal(mine.log_p, same.log_p)


def test_the_layout_may_differ(put):
    plain = read_arpa(put(SMALL))
    odd = SMALL.replace("\t", "  ").replace("\n\n\\", "\n\\").replace("1=", " 1 = ")
    other = read_arpa(put(odd.replace("\n", "\r\n")))
    assert other.vocabulary == plain.vocabulary
    for mine, same in zip(other.grams, plain.grams, strict=True):
        assert np.array_equal(mine.ids, same.ids)
        assert np.array_equal(mine.back_off, same.back_off)


LIES = [
    ("ngram 2=3", "ngram 2=999999999999999999", 18, "there are 3"),
    ("ngram 2=3", "ngram 2=2", 17, "one more"),
    ("ngram 1=5", "ngram 1=4", 12, "one more"),
    ("ngram 2=3", "ngram 2=" + "9" * 5000, 5, "ngram 2="),
    ("ngram 2=3", "ngram 3=3", 5, "ngram 2="),
    ("ngram 2=3", "ngram 2=-3", 5, "ngram 2="),
    ("ngram 1=5\nngram 2=3\n", "", 5, "no order"),
    ("-0.4\ta\t-0.2", "nan\ta\t-0.2", 11, "more than"),
    ("-0.4\ta\t-0.2", "-0.4\ta\tnan", 11, "more than"),
    ("-0.4\ta\t-0.2", "0.4\ta\t-0.2", 11, "more than"),
    ("-0.4\ta\t-0.2", "inf\ta\t-0.2", 11, "more than"),
    ("-0.4\ta\t-0.2", "-0.4\ta\t1e300", 11, "more than"),
    ("-0.4\ta\t-0.2", "-0.4\ta\tx", 11, "no number"),
    ("-0.4\ta\t-0.2", "a\t-0.4", 11, "no number"),
    ("-0.4\ta\t-0.2", "-0.4", 11, "1 words"),
    ("-0.4\ta\t-0.2", "-0.4\ta\t-0.2\t-0.2", 11, "1 words"),
    ("-0.4\ta\t-0.2", "-0.4\tb\t-0.2", 12, "second time"),
    ("-0.4\ta\t-0.2", "-0.4\t<UNK>\t-0.2", 11, "second time"),
    ("-0.4\ta\t-0.2", "-0.4\t" + "a" * 70000, 11, "bytes"),
    ("-0.2\ta b", "-0.2\t<s> a", 16, "second time"),
    ("-0.2\ta b", "-0.2\ta c", 16, "not among"),
    ("-0.2\ta b", "-0.2\ta", 16, "2 words"),
    ("-0.2\ta b", "-0.2\ta b\t-0.5", 16, "highest"),
    ("\\1-grams:", "\\2-grams:", 7, "1-grams"),
    ("\\2-grams:\n", "", 14, "2-grams"),
    ("\\2-grams:", "\\3-grams:", 14, "2-grams"),
    ("\\end\\", "", 20, "ends before"),
    ("\\end\\", "\\3-grams:", 19, "end"),
    ("\\data\\", "\\date\\", 20, "no \\data\\"),
]


@pytest.mark.parametrize(("old", "new", "line", "said"), LIES)
def test_lies_are_told_with_their_line(old, new, line, said, put):
    assert old in SMALL
    with pytest.raises(BadInput) as caught:
        BackOff.of(read_arpa(put(SMALL.replace(old, new, 1))))
    assert f"line {line}:" in caught.value.message
    assert said in caught.value.message
    assert caught.value.hint


def test_weights_that_cannot_be_multiplied_are_refused(draw, put):
    slow = draw(4, 4)
    slow.table = {gram: (p, 99.0) for gram, (p, _) in slow.table.items()}
    with pytest.raises(BadInput, match=r"line \d+: .*back-off"):
        BackOff.of(read_arpa(put(slow.text())))


def test_weights_of_nothing_leave_a_distribution(draw, put):
    slow = draw(5, 5, 0.1)
    slow.table = {
        gram: (p if len(gram) == 1 else -99, -99.0) for gram, (p, _) in slow.table.items()
    }
    arpa = read_arpa(put(slow.text()))
    data = encode(["a it's 7 a a", "a"], arpa.vocabulary)
    assert np.isfinite(score(BackOff.of(arpa), data).nll).all()


def test_a_file_without_words_is_refused(put):
    with pytest.raises(BadInput, match="no word"):
        read_arpa(put("\\data\\\nngram 1=2\n\\1-grams:\n-1\tA\n-1\t-b-\n\\end\\\n"))


def test_damaged_and_missing_files_are_refused(tmp_path):
    packed = gzip.compress(SMALL.encode())
    for raw in (packed[:-12], packed[:60] + b"xx" + packed[62:], b"", b"\0" * 200_000, b"\x1f\x8b"):
        path = tmp_path / "model.arpa.gz"
        path.write_bytes(raw)
        with pytest.raises(BadInput):
            read_arpa(path)
    with pytest.raises(BadInput, match="can't be read"):
        read_arpa(tmp_path / "none.arpa")


def test_what_unpacks_to_far_too_much_is_refused(tmp_path):
    path = tmp_path / "model.arpa.gz"
    path.write_bytes(gzip.compress((b" " * 60_000 + b"\n") * 700))
    with pytest.raises(BadInput, match="far more"):
        read_arpa(path)


@given(st.binary(max_size=6), st.integers(0, len(SMALL)), st.integers(0, 8))
def test_no_change_of_a_file_crashes(tmp_path_factory, new, at, cut):
    path = tmp_path_factory.mktemp("arpa") / "model.arpa"
    path.write_bytes(SMALL.encode()[:at] + new + SMALL.encode()[at + cut :])
    try:
        model = BackOff.of(read_arpa(path))
    except BadInput as error:
        assert str(Path(path)) in error.message
    else:
        assert model.distribution([UNKNOWN]).sum() == pytest.approx(1)
