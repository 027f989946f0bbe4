"""`nwp model`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nwp.cli.options.common import Corpus, Json, Model, ReplaceBundle
from nwp.cli.options.computing import EngineName, Processes, RayAddress, Workers
from nwp.cli.options.reading import Columns, Dates, Form, Me, SkipBad
from nwp.cli.output import err, megabytes, out, print_json, tell_without_ngrams
from nwp.cli.reading import read_corpus
from nwp.cli.repeating import repeatable

Folder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write it.")]

app = typer.Typer(help="Bundles: more in them, and out of them.", no_args_is_help=True)


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE.onnx", help="Where to write it.")],
    model: Model = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE.")] = False,
    as_json: Json = False,
) -> None:
    """Write a bundle as one ONNX file: a step of the model, its state in and out, with its words.

    N-grams that the bundle may have do not go along.

    Example:  nwp model export keyboard.onnx --model my-model
    """
    from nwp.errors import BadInput
    from nwp.files import told
    from nwp.model.bundle import default_bundle, load_bundle
    from nwp.model.onnx_file import write_onnx

    if file.suffix.lower() != ".onnx":
        raise BadInput(f"{file} does not end in .onnx", "Programs know such files by their name.")
    if file.exists() and not force:
        raise BadInput(f"{file} is there already", "Replace it with --force.")
    bundle = load_bundle(model or default_bundle())
    with told(f"{file} can't be written", "then give the same command again."):
        write_onnx(bundle, file)
    size = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "bytes": size, "parameters": bundle.config.parameters})
    else:
        out().print(f"{file}: {megabytes(size)}, {bundle.config.parameters:,} weights")


@app.command("average")
def average(
    bundles: Annotated[
        list[Path], typer.Argument(metavar="BUNDLE...", help="Two bundles or more.")
    ],
    out_folder: Folder,
    weights: Annotated[
        str,
        typer.Option(
            metavar="NUMBERS", help="How much each counts, with commas between; else all alike."
        ),
    ] = "",
    force: ReplaceBundle = False,
    as_json: Json = False,
) -> None:
    """Average the weights of bundles that began from the same one: often better than each of them.

    All must have the same words and sizes, as runs of `nwp train --from` have. N-grams are left out:
    how much they count was learnt beside other weights.

    Example:  nwp model average first second --weights 0.85,0.15 --out both
    """
    from nwp.tasks.average import average_bundles

    shares = _numbers_in(weights)
    result = average_bundles(bundles, out_folder, shares, command=repeatable(), force=force)
    if as_json:
        print_json(result)
        return
    parts = " + ".join(f"{part['share']:.4g} x {part['model']}" for part in result["parts"])
    out().print(
        f"{result['model']}: {parts}; {result['parameters']:,} weights, {megabytes(result['bytes'])}"
    )
    if result["ngrams_left_out"]:
        tell_without_ngrams(out_folder)


def _numbers_in(given: str) -> list[float]:
    """Numbers with commas between."""
    from nwp.errors import BadSettings

    try:
        return [float(number) for number in given.split(",")] if given.strip() else []
    except ValueError as error:
        raise BadSettings(
            f"--weights {given}: no numbers with commas between", "For example 0.85,0.15."
        ) from error


@app.command("ngrams")
def ngrams(
    corpus: Corpus,
    out_folder: Folder,
    model: Model = None,
    k: Annotated[
        int,
        typer.Option(min=1, help="Users of one worker that must have written an n-gram."),
    ] = 3,
    workers: Workers = 0,
    processes: Processes = 0,
    engine: EngineName = "auto",
    ray_address: RayAddress = "",
    force: ReplaceBundle = False,
    form: Form = "",
    columns: Columns = "",
    dates: Dates = "",
    me: Me = "me",
    skip_bad_lines: SkipBad = False,
    as_json: Json = False,
) -> None:
    """Give a bundle an n-gram expert: which words follow one or two others, as far as many users share it.

    Workers count on their users' train parts and send only what K of their own users wrote. How much the
    n-grams count beside the model is learnt on the valid parts.

    Example:  nwp model ngrams messages.jsonl.gz --model my-model --out my-keyboard
    """
    from nwp.cli.progress import answering
    from nwp.model.bundle import default_bundle
    from nwp.tasks.ngrams import NgramsOptions, add_ngrams

    found = read_corpus(corpus, form, columns, dates, me, skip_bad_lines=skip_bad_lines)
    with answering() as watch:
        result = add_ngrams(
            found,
            model or default_bundle(),
            out_folder,
            NgramsOptions(k, workers, processes, engine, ray_address),
            command=repeatable(),
            force=force,
            watch=watch,
        )
    for worker, reason in result["absent"].items():
        err().print(f"{worker} took no part: {reason}")
    if as_json:
        print_json(result)
        return
    out().print(
        f"{result['model']}: {result['pairs']:,} pairs and {result['triples']:,} triples that {k} users of "
        f"a worker wrote, {megabytes(result['bytes'])} in all"
    )
