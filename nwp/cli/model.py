"""`nwp model`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nwp.cli.evaluate import Model
from nwp.cli.output import megabytes, out, print_json
from nwp.cli.train import Json

app = typer.Typer(help="Bundles: for other programs.", no_args_is_help=True)


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE.onnx", help="Where to write it.")],
    model: Model = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE.")] = False,
    as_json: Json = False,
) -> None:
    """Write a bundle as one ONNX file: a step of the model, its state in and out, with its words.

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
