"""What docs/corpora.md says is so: its tests, formats, reasons, commands and the example of a reader."""

from __future__ import annotations

import ast
import re
import shlex
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from nwp.cli.main import app
from nwp.cli.reading import parse_columns
from nwp.corpus.door.masking import KINDS, mask, read_kinds
from nwp.corpus.json_stream import MAX_DEPTH, MAX_STRING
from nwp.corpus.lines import MAX_LINE
from nwp.corpus.load import load_corpus
from nwp.corpus.published import PUBLISHED
from nwp.corpus.readers import ENTRY_POINTS, readers
from nwp.corpus.readers.base import PROBED
from nwp.corpus.readers.mail.reader import MAX_MAIL
from nwp.corpus.source import MAX_FILES, MAX_RATIO, MAX_UNPACKED
from nwp.corpus.splits.recipe import WAYS
from nwp.corpus.unpacking import most_of
from nwp.errors import BadSettings

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "corpora.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def table(title: str) -> list[list[str]]:
    """The cells of the rows of the table whose head begins so, without its head."""
    lines = PAGE[PAGE.index(f"\n| {title} |") + 1 :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def blocks(kind: str) -> list[str]:
    """The code blocks of one kind ("" for those without a name)."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [code for name, code in found if name == kind]


# The table of formats


def test_every_test_in_the_table_of_formats_exists() -> None:
    for row in table("format"):
        assert len(row) == 4, row
        named = list(named_in(row[3]))
        assert named, f"no test: {row}"
        for path, name, case in named:
            assert path.startswith("tests/") and (ROOT / path).is_file(), path
            tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
            functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
            assert name in functions, f"{path} has no {name}"
            assert not case or is_case(case, tree), f"{path} has no case {case!r}"


def named_in(cell: str) -> Iterator[tuple[str, str, str]]:
    """File, function and case ("" for all) of the tests in a cell; "[case]" alone is of the one before."""
    path = name = ""
    for one in re.findall(r"`([^`]+)`", cell):
        if not one.startswith("["):
            path, _, name = one.partition("[")[0].partition("::")
        case = one[one.index("[") + 1 : -1] if "[" in one else ""
        yield path, name, case


def is_case(case: str, tree: ast.AST) -> bool:
    """Whether a file has a text that may be (a part of) this case's name."""
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    texts = {text for text in constants if isinstance(text, str) and len(text) > 1}
    pieces = case.split("-")
    return any("-".join(pieces[at:end]) in texts for at in (0, 1) for end in (None, -1))


def test_every_format_has_a_row_and_no_row_another_name() -> None:
    assert {row[0] for row in table("format")} == {*(reader.name for reader in readers()), "nltk"}


# Reasons


def test_reasons_in_the_table_are_those_of_the_code_and_all_of_them() -> None:
    listed = {row[0].strip("`") for row in table("reason")}
    assert listed == set(reasons())


def reasons() -> dict[str, str]:
    """Reason to the file that has it: what is given to a tally, or told as the reason of no message."""
    places = [*(ROOT / "nwp" / "corpus").rglob("*.py"), ROOT / "nwp" / "tasks" / "importing.py"]
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in places}
    words = dict(pair for tree in trees.values() for pair in constants_of(tree))
    found: dict[str, str] = {}
    for path, tree in trees.items():
        for node in given(tree):
            for reason in said(node, words):
                found.setdefault(reason, path.name)
    # Tables of reasons: one that has two known ones has no others.
    for path, tree in trees.items():
        for statement in tree.body:
            if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(
                statement.value, ast.Dict
            ):
                values = [v.value for v in statement.value.values if isinstance(v, ast.Constant)]
                if len(set(values) & set(found)) > 1 or (values and set(values) <= set(found)):
                    found |= {str(value): path.name for value in values}
    return found


def constants_of(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Names in capitals to the texts that they stand for."""
    for statement in tree.body:
        if not isinstance(statement, ast.Assign):
            continue
        [target] = statement.targets
        pairs = (
            zip(target.elts, statement.value.elts, strict=True)
            if isinstance(target, ast.Tuple) and isinstance(statement.value, ast.Tuple)
            else [(target, statement.value)]
        )
        for name, value in pairs:
            match name, value:
                case ast.Name(id=called), ast.Constant(value=str(text)) if called.isupper():
                    yield called, text


def given(tree: ast.Module) -> Iterator[ast.expr]:
    """The expressions whose value is a reason."""
    taking = {
        f.name: [a.arg for a in f.args.args].index("reason")
        for f in ast.walk(tree)
        if isinstance(f, ast.FunctionDef) and "reason" in [a.arg for a in f.args.args]
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            name = node.func.id if isinstance(node.func, ast.Name) else name
            at = {"skip": 0, "remark": 0, "made": 3, "Line": 0} | taking
            yield from node.args[at[name] : at[name] + 1] if name in at else ()
            yield from (k.value for k in node.keywords if k.arg == "reason")
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if node.targets[0].id in ("reason", "without_text"):
                yield node.value
        elif isinstance(node, ast.FunctionDef):
            tells = "Found" in ast.unparse(node.returns or ast.Constant(""))
            told = node.name in ("_nobody", "_irregular", "_by_the_app", "_unmarked")
            for inner in ast.walk(node) if tells or told else ():
                if isinstance(inner, ast.Return | ast.Yield) and inner.value is not None:
                    yield inner.value


def said(node: ast.expr, words: dict[str, str]) -> Iterator[str]:
    """The texts that an expression may come to."""
    match node:
        case ast.Constant(value=str(text)) if text:
            yield text
        case ast.Name(id=name) if name in words and name != "MESSAGE":
            yield words[name]
        case ast.IfExp():
            yield from said(node.body, words)
            yield from said(node.orelse, words)
        case ast.BoolOp() | ast.Tuple():
            for value in node.values if isinstance(node, ast.BoolOp) else node.elts:
                yield from said(value, words)
        case ast.JoinedStr():
            yield re.sub(r"\{.*?\}", "32", ast.unparse(node)[2:-1])


# Tables of what may be asked for


def test_masks_are_those_there_are_and_do_what_the_table_says() -> None:
    rows = table("kind")
    assert tuple(row[0].strip("`") for row in rows) == KINDS
    for kind, _, example, becomes in rows:
        assert mask(example, (kind.strip("`"),))[0] == becomes


def test_ways_to_split_are_those_there_are() -> None:
    assert {row[0].strip("`") for row in table("way")} == set(WAYS)


def test_the_corpora_named_are_known() -> None:
    [names] = re.findall(r"`corpus get` fetches (.*?) from", PAGE)
    assert set(re.findall(r"`(\w+)`", names)) == set(PUBLISHED)


def test_bounds_are_those_of_the_code() -> None:
    told = {
        "over 250 times": MAX_RATIO == 250,
        "from 16 MiB on": most_of(1) == 16 << 20,
        "over 64 GiB": MAX_UNPACKED == 64 << 30,
        "over a million files": MAX_FILES == 10**6,
        "Lines over 1 MiB": MAX_LINE == 1 << 20,
        "string over 16 MiB": MAX_STRING == 16 << 20,
        "over 500 deep": MAX_DEPTH == 500,
        "mail of over 32 MiB": MAX_MAIL == 32 << 20,
        "some 200 files": PROBED == 200,
    }
    text = " ".join(PAGE.split())
    assert not [words for words, holds in told.items() if not holds or words not in text]


# Commands and code


def commands() -> list[str]:
    """The lines of all code blocks that run nwp."""
    fenced = [line for block in blocks("") for line in block.splitlines()]
    indented = [line[4:] for line in README.splitlines() if line.startswith("    ")]
    return [line for line in (*fenced, *indented) if line.startswith("nwp ")]


@pytest.mark.parametrize("line", commands())
def test_every_command_line_can_be_typed(line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command = get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    context = command.make_context("nwp", words)  # raises for what it does not know or misses
    given = context.params
    if given.get("mask"):
        read_kinds(given["mask"])
    if given.get("columns"):
        parse_columns(given["columns"])
    if given.get("form"):
        assert given["form"] in [reader.name for reader in readers()]


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The page's package with a reader, installed as pip would, for as long as a test runs."""
    [code], [project] = blocks("python"), blocks("toml")
    points = tomllib.loads(project)["project"]["entry-points"][ENTRY_POINTS]
    about = tmp_path / "nwp_notes-1.0.dist-info"
    about.mkdir()
    (tmp_path / "nwp_notes.py").write_text(code, encoding="utf-8")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: nwp-notes\nVersion: 1.0\n")
    lines = [f"[{ENTRY_POINTS}]", *(f"{name} = {value}" for name, value in points.items())]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    readers.cache_clear()
    yield
    readers.cache_clear()
    sys.modules.pop("nwp_notes", None)


@pytest.mark.usefixtures("notes")
def test_the_reader_of_another_package_reads(tmp_path: Path) -> None:
    names = [reader.name for reader in readers()]
    assert names[-4:] == ["notes", "table", "jsonl", "folder"]
    chat = tmp_path / "chat.txt"
    chat.write_bytes(b"\n".join([b"# notes", b"Ann > hello > you", b"nobody", b"Ben > caf\xe9"]))
    corpus = load_corpus(str(chat))
    assert dict(corpus.users) == {"Ann": ("hello > you",), "Ben": ("café",)}
    assert corpus.skipped == {"bad line": 1}
    with zipfile.ZipFile(tmp_path / "chat.zip", "w") as archive:
        archive.write(chat, "a/chat.txt")
        archive.writestr("readme.md", "no notes")
    packed = load_corpus(str(tmp_path / "chat.zip"))
    assert dict(packed.users) == dict(corpus.users)
    assert packed.skipped == {"bad line": 1, "other file": 1}


@pytest.mark.usefixtures("notes")
def test_a_reader_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    (tmp_path / "nwp_notes.py").write_text("READER = None\n")
    with pytest.raises(BadSettings, match="nwp_notes:READER"):
        readers()
