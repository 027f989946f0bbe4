"""`nwp serve`."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from nwp.cli.options.common import Json, Model
from nwp.cli.options.suggesting import Beside, Exact
from nwp.cli.output import err, out, print_json


def serve(
    model: Model = None,
    beside: Beside = None,
    host: Annotated[
        str, typer.Option(help="Where to listen; beyond this machine only with a token.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0: one that is free.")
    ] = 8697,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="What clients must send; else one is made where others can reach this server.",
        ),
    ] = None,
    personal: Annotated[
        bool,
        typer.Option(
            "--personal",
            help="Your own words too, and learn from what is sent to /v1/learn (`nwp personal on`). "
            "Whoever may ask this server can be suggested them.",
        ),
    ] = False,
    exact: Exact = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: Json = False,
) -> None:
    """Suggestions over HTTP, and a page to type into. Ctrl-C stops it.

    Example:  nwp serve --open      nwp serve --personal      nwp serve --host 0.0.0.0 --port 0 --json

    Example:  nwp serve --beside my-german-model
    """
    from nwp.model.threads import one_thread

    one_thread()  # before anything imports numpy
    from nwp.model.bundle import default_bundle
    from nwp.personal import require
    from nwp.serve.models import models_of
    from nwp.serve.server import Address
    from nwp.serve.server import serve as listen
    from nwp.suggest.languages import load_bundles

    def ready(address: Address) -> None:
        if as_json:
            print_json({"url": address.url, "token": address.token})
        else:
            out().print(f"Type at {address.page}")
            if address.token is not None:
                out().print(f"Programs send the header  Authorization: Bearer {address.token}")
            err().print("Ctrl-C stops it.")
        out().file.flush()
        if open_page:
            _open(address.page)

    bundles = load_bundles(model or default_bundle(), beside)
    models = models_of(*bundles, personal=require if personal else None, exact=exact)
    if personal:  # it is told now, not at the first key, that learning is off
        next(iter(models.values())).make()
    with contextlib.suppress(KeyboardInterrupt):  # how a server ends: no failure
        listen(models, host, port, token, ready)
    err().print("Stopped.")


def _open(page: str) -> None:
    """Open a page, without waiting for the browser."""
    import threading
    import webbrowser

    def work() -> None:
        if not webbrowser.open(page):
            err().print("No browser was found: open the page yourself.")

    threading.Thread(target=work, daemon=True).start()
