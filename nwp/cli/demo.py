"""`nwp demo`: federated learning to watch, in three minutes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nwp.cli.output import err, figure, megabytes, out, percent, print_json

if TYPE_CHECKING:
    from nwp.tasks.demo import Demonstration
    from nwp.tasks.watching import Started
    from nwp.workers.simulation import Simulation


def demo(
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", envvar="NWP_DEMO_OUT", help="Where the model goes."),
    ] = None,
    no_prompt: Annotated[
        bool, typer.Option("--no-prompt", help="Do not open the prompt at the end.")
    ] = False,
) -> None:
    """Train on the sample corpus, explain what happens, and open the prompt.

    Thirty-two invented people's messages on four PySyft workers, one model, under three minutes.
    When standard output is no terminal, its last line is JSON.

    Example:  nwp demo
    """
    import platformdirs

    from nwp.cli.progress import own_models, watching
    from nwp.tasks.demo import compare, learn

    folder = out_folder or Path(platformdirs.user_cache_dir("nwp")) / "demo"
    out().rule("nwp: one model from many people's messages, none of which moves")
    with watching() as progress:
        watcher = progress.watcher()
        watcher.enrolled = _tell_workers
        started = watcher.started

        def tell_plan(found: Started) -> None:
            _tell_plan(found)
            started(found)

        watcher.started = tell_plan
        learnt = learn(folder, watcher)
    out().print("\n4  What it is worth", style="bold")
    err().print("counting on each user's last tenth, and training each user's own model to compare")
    with own_models() as watch:
        demonstration = compare(learnt, folder, watch)
    _tell_result(demonstration)
    if not sys.stdout.isatty():
        print_json(demonstration.as_json())
    elif sys.stdin.isatty() and not no_prompt:
        from nwp.model.bundle import load_bundle
        from nwp.suggest.prompt import run_prompt
        from nwp.suggest.suggester import Suggester

        out().rule("try it")
        run_prompt(Suggester.from_bundle(load_bundle(folder)))


def _say(*paragraphs: str) -> None:
    """Paragraphs, wrapped to the terminal and set in by three."""
    from rich.padding import Padding
    from rich.text import Text

    for paragraph in paragraphs:
        out().print(
            Padding(Text.from_markup(paragraph), (0, 0, 0, 3)),
            width=min(out().width, 96),
            soft_wrap=False,
        )
    out().print()


def _tell_workers(simulation: Simulation) -> None:
    """What each worker holds, and what the server can see of it."""
    out().print("\n1  What stays", style="bold")
    for worker, users in simulation.deals.items():
        messages = sum(len(simulation.corpus.users[user]) for user in users)
        out().print(f"   {worker} holds {messages:,} messages of {', '.join(users)}")
    mock = simulation.mock_line(next(iter(simulation.deals)))
    _say(
        "Each is a PySyft datasite of its own: a folder, keys, a private dataset. The server gets "
        f"a made-up mock of the same form instead, such as [italic]“{mock}”[/italic]."
    )


def _tell_plan(started: Started) -> None:
    """What was asked, what left for it, and who agreed."""
    from nwp.federated.plan_text import plan_text

    plan, surveys = started.plan, started.surveys
    named = [len(survey.counts) for survey in surveys.values()]
    out().print("2  What is agreed", style="bold")
    _say(
        f"Words first: a worker names only words that {started.k} of its own users wrote "
        f"({min(named)} to {max(named)} words each); with a public list they make a vocabulary of "
        f"{len(plan.words):,}. No other word leaves.",
        f"Then the plan ({len(plan_text(plan)) / 1000:.0f} kB, SHA-256 {started.job.digest[:12]}…): "
        f"{plan.rounds} rounds, {plan.cohort} users in each, a model of {started.parameters:,} "
        f"weights. It is a PySyft job; {len(started.job.approved)} of {len(plan.workers)} owners' "
        "policies approved it. What is not in it, no worker does.",
    )
    out().print("3  What moves", style="bold")
    _say(
        f"Each round the weights go out ({4 * started.parameters / 1e6:.1f} MB), some users train "
        "them on their own messages, each worker sends back the average change of its users, and "
        "the server averages those. All of it is encrypted and signed.",
    )


def _tell_result(found: Demonstration) -> None:
    """The table, and the sum of it in words."""
    from rich.markup import escape

    from nwp.cli.evaluate import print_table

    print_table(found.evaluation)
    figures, result = found.as_json(), found.result
    test, users = figures["test"], figures["users"]
    alone, words = found.gains("local_only"), found.gains("unigram")
    worse = sorted(set(found.evaluation.users) - set(alone))
    out().print()
    _say(
        "Perplexity: between how many words the model is torn. "
        f"Untrained {figure(test['untrained'])}; each user's own model {figure(test['local_only'])}; "
        f"[bold]the average of all {figure(test['perplexity'])}[/bold]. Word counts alone reach "
        f"{figure(test['unigram'])}, a trigram of everybody's pooled text {figure(test['trigram'])}.",
        f"The average beats their own model for {len(alone)} of {users} people"
        + (f" (not for {', '.join(worse)})" if worse else "")
        + f", and word counts for {len(words)}. Nobody writes enough to learn a language from "
        "alone, and most of it is shared.",
        f"Stayed: {found.corpus.messages:,} messages. Moved: {megabytes(result['bytes_down'])} of "
        f"weights down, {megabytes(result['bytes_up'])} of averaged changes and counts up.",
        "One process shows the flow and the rules here, not isolation: for real, each worker is a "
        "machine of its owner's. And an average is no anonymity: without noise, a model may still "
        "remember phrases.",
        f"{figures['seconds']:.0f} seconds. The model: {escape(result['model'])} "
        f"(top-1 {percent(test['top1'])}, top-3 {percent(test['top3'])}).",
    )
