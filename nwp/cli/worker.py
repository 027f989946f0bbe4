"""`nwp worker`: an owner's own worker, on the owner's machine."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from nwp.cli.options.common import Corpus, Json
from nwp.cli.options.parties import Transport, WorkerHome
from nwp.cli.options.reading import Columns, Dates, Form, Me, SkipBad
from nwp.cli.output import err, megabytes, out, print_json
from nwp.cli.reading import read_corpus

app = typer.Typer(
    help="Your own worker: your text stays here, and you decide what is done with it.",
    no_args_is_help=True,
)

Plan = Annotated[str, typer.Argument(metavar="PLAN", help="Its number, or its digest's beginning.")]


def _home(home: Path | None) -> Path:
    from nwp.tasks.owner import usual_home

    return home or usual_home()


@app.command("init")
def init(
    email: Annotated[str, typer.Option("--as", metavar="EMAIL", help="What others call you.")],
    server: Annotated[str, typer.Option(metavar="EMAIL", help="Whom you will work for.")],
    transport: Transport,
    fingerprint: Annotated[
        str, typer.Option(metavar="DIGITS", help="Of the server's key, as you were told it.")
    ] = "",
    home: WorkerHome = None,
    as_json: Json = False,
) -> None:
    """Make your worker's folder: your name, the way to the server, your rules. Nothing is sent.

    Example:  nwp worker init --as ada@home.example --server kajsa@lab.example --transport folder:/mnt/us

    Your server's invitation has this command with everything filled in.
    """
    from nwp.tasks.owner import POLICY, init_owner

    party = init_owner(_home(home), email, server, transport, fingerprint)
    if as_json:
        print_json({"home": str(party.folder), "email": email, "server": server})
        return
    out().print(f"{party.folder}: made. Your rules are in {party.folder / POLICY}; read them.")
    out().print("next:  nwp worker add CORPUS    nwp worker run")


@app.command("add")
def add(
    corpus: Corpus,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put it in the place of the same users' messages.")
    ] = False,
    home: WorkerHome = None,
    form: Form = "",
    columns: Columns = "",
    dates: Dates = "",
    me: Me = "me",
    skip_bad_lines: SkipBad = False,
    as_json: Json = False,
) -> None:
    """Put text into your worker's private dataset. It stays on this machine; nothing is uploaded.

    Example:  nwp worker add my-chat.zip --me Ada
    """
    from nwp.tasks.owner import add_corpus
    from nwp.wording import many

    found = read_corpus(corpus, form, columns, dates, me, skip_bad_lines=skip_bad_lines)
    result = add_corpus(_home(home), found, replace=replace)
    if as_json:
        print_json(result)
        return
    out().print(
        f"{many(result['users'], 'user')}, {many(result['messages'], 'message')}: "
        f"they stay in {result['home']}"
    )


@app.command("run")
def run(
    processes: Annotated[int, typer.Option(min=0, help="To train in; 0: one a core.")] = 1,
    home: WorkerHome = None,
) -> None:
    """Work for the server: show what it asks, answer what you have approved. Ctrl-C stops.

    Example:  nwp worker run

    To have it run from each start of the machine on, see docs/parties.md for a unit of systemd.
    """
    from nwp.tasks.owner import attend

    # A service is stopped with SIGTERM; it is as good as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    attend(_home(home), processes=processes, tell=lambda text: err().print(text))


@app.command("requests")
def requests(
    every: Annotated[bool, typer.Option("--all", help="Those that are decided, too.")] = False,
    home: WorkerHome = None,
    as_json: Json = False,
) -> None:
    """What the server asks for, in words: what is done with your text, and what goes out.

    Example:  nwp worker requests --all
    """
    from nwp.tasks.owner import requests as of

    found = of(_home(home), every=every)
    if as_json:
        print_json({"requests": [_request(each) for each in found]})
        return
    if not found:
        out().print("nothing waits for you; --all shows what was decided")
    for each in found:
        said = each.asked.decision.name.lower()
        out().print(f"{each.asked.place}  {each.kind}  {each.digest[:12]}  {said}")
        for line in each.words:
            out().print(f"     {line}")
        if each.asked.reason:
            out().print(f"     {said} because: {each.asked.reason}")


def _request(each: Any) -> dict[str, Any]:
    asked = each.asked
    return {
        "number": asked.place,
        "digest": each.digest,
        "kind": each.kind,
        "decision": asked.decision.name.lower(),
        "came": asked.came,
        "decided": asked.decided,
        "by": asked.by,
        "reason": asked.reason,
        "words": list(each.words),
    }


def _decide(
    home: Path | None,
    plan: str,
    decision: str,
    reason: str = "",
    *,
    anyway: bool = False,
    as_json: bool,
) -> None:
    from nwp.tasks.owner import decide
    from nwp.workers.offers import Decision

    found = decide(_home(home), plan, Decision[decision], reason, anyway=anyway)
    if as_json:
        print_json(_request(found))
        return
    out().print(f"{found.kind} plan {found.digest[:12]}: {decision.lower()}")


@app.command("approve")
def approve(
    plan: Plan,
    anyway: Annotated[bool, typer.Option("--anyway", help="Though your rules forbid it.")] = False,
    home: WorkerHome = None,
    as_json: Json = False,
) -> None:
    """Let a plan run, as it is now, under this version of nwp.

    Example:  nwp worker approve 1
    """
    _decide(home, plan, "APPROVED", anyway=anyway, as_json=as_json)


@app.command("deny")
def deny(
    plan: Plan,
    reason: Annotated[str, typer.Option(help="For your own record; it is not sent.")] = "",
    home: WorkerHome = None,
    as_json: Json = False,
) -> None:
    """Refuse a plan.

    Example:  nwp worker deny 1 --reason "too many rounds"
    """
    _decide(home, plan, "DENIED", reason, as_json=as_json)


@app.command("revoke")
def revoke(plan: Plan, home: WorkerHome = None, as_json: Json = False) -> None:
    """Take an approval back: nothing more is answered. What was sent can't be called back.

    Example:  nwp worker revoke 1
    """
    _decide(home, plan, "REVOKED", as_json=as_json)


@app.command("log")
def log(
    last: Annotated[int, typer.Option(min=0, help="So many of the last; 0: all.")] = 20,
    home: WorkerHome = None,
    as_json: Json = False,
) -> None:
    """The ledger: everything that left, checked from the first line to the last.

    Example:  nwp worker log --last 0
    """
    from dataclasses import asdict

    from nwp.tasks.owner import open_ledger

    ledger = open_ledger(_home(home))
    shown = ledger.entries[-last:] if last else ledger.entries
    if as_json:
        print_json({"entries": [asdict(entry) for entry in shown], "head": ledger.head})
        return
    for entry in shown:
        norm = "" if entry.norm is None else f"  norm {entry.norm:.3g}"
        cost = f"  epsilon {entry.epsilon:g}" if entry.epsilon else ""
        what = f"{entry.phase} of round {entry.round}" if entry.round else entry.phase
        out().print(
            f"{entry.n:4}  {entry.time[:19]}Z  {entry.kind:8}  {what:19}  {entry.job[:8]:8}  "
            f"{entry.bytes:>11,} B{norm}{cost}"
        )
    sent = sum(entry.bytes for entry in ledger.entries)
    out().print(f"{len(ledger.entries)} entries, {megabytes(sent)}; the chain holds")
    out().print(f"last hash: {ledger.head}")


@app.command("show-sent")
def show_sent(
    number: Annotated[int, typer.Argument(metavar="N", help="As nwp worker log counts.")],
    home: WorkerHome = None,
    as_json: Json = False,
) -> None:
    """Open a message that left: its fields and arrays, as the server could read them.

    Example:  nwp worker show-sent 3
    """
    from nwp.tasks.showing_sent import opened

    found = opened(_home(home), number)
    if as_json:
        print_json(found)
        return
    entry = found["entry"]
    out().print(f"{entry['kind']} to {entry['to']}, {entry['time']}, {entry['bytes']:,} bytes")
    for name, value in found["fields"].items():
        out().print(f"  {name:12} {value}")
    for name, array in found["arrays"].items():
        out().print(f"  {name:12} {array['dtype']} {array['shape']}  {array['shown']}")


@app.command("drive-token")
def drive_token(
    credentials: Annotated[
        Path, typer.Argument(metavar="CREDENTIALS", help="Of your OAuth client, a JSON file.")
    ],
    out_file: Annotated[
        Path, typer.Option("--out", metavar="TOKENFILE", help="Where the token goes (0600).")
    ],
    as_json: Json = False,
) -> None:
    """Permit the use of your Google Drive, in a browser, and keep the token: for owner and server.

    Example:  nwp worker drive-token credentials.json --out ~/.nwp-drive.json

    The token opens the whole Drive of its account: use an account of its own. docs/drive.md has the steps.
    """
    from nwp.workers.drive import make_token

    make_token(credentials, out_file)
    if as_json:
        print_json({"token": str(out_file)})
        return
    out().print(f"{out_file}: written. Then:  --transport drive:{out_file}")
