"""The options that say how a training learns: users' steps, the server's, and what travels between."""

from __future__ import annotations

from typing import Annotated

import typer

_LOCAL = "Local training"
_SERVER = "Server"
_MESSAGES = "Messages"

Algorithm = Annotated[
    str,
    typer.Option(
        "--algorithm",
        metavar="fedavg|fedsgd|scaffold",
        rich_help_panel=_LOCAL,
        help="What users do and what is added up; the server's step is chosen apart.",
    ),
]
Epochs = Annotated[int, typer.Option("--epochs", min=1, rich_help_panel=_LOCAL, help="A round.")]
Batch = Annotated[
    int | None,
    typer.Option(
        "--batch",
        min=0,
        rich_help_panel=_LOCAL,
        help="Messages a step; 0: all of a user's. Else 16, with fedsgd 0.",
    ),
]
Messages = Annotated[
    int,
    typer.Option(
        "--messages",
        min=0,
        rich_help_panel=_LOCAL,
        help="Of a user, the most in a round; others each round. 0: all.",
    ),
]
LearningRate = Annotated[
    float, typer.Option("--learning-rate", rich_help_panel=_LOCAL, help="Of plain SGD.")
]
ClipNorm = Annotated[
    float,
    typer.Option(
        "--clip-norm", min=0, rich_help_panel=_LOCAL, help="L2 bound of a step's gradient."
    ),
]
MaxPositions = Annotated[
    int,
    typer.Option(
        "--max-positions", min=2, rich_help_panel=_LOCAL, help="Words trained on a message."
    ),
]
Proximal = Annotated[
    float,
    typer.Option(
        "--proximal",
        min=0,
        rich_help_panel=_LOCAL,
        help="FedProx's mu: a pull to the received weights.",
    ),
]
Schedule = Annotated[
    str,
    typer.Option(
        "--schedule",
        metavar="constant|linear|cosine|step|inverse-sqrt",
        rich_help_panel=_LOCAL,
        help="How the learning rate falls from round to round.",
    ),
]
Warmup = Annotated[
    int,
    typer.Option(
        "--warmup", min=0, rich_help_panel=_LOCAL, help="Rounds in which it rises before that."
    ),
]
FinalShare = Annotated[
    float,
    typer.Option(
        "--final-share",
        rich_help_panel=_LOCAL,
        help="Left of the rate in the last round (linear, cosine).",
    ),
]
StepRounds = Annotated[
    int,
    typer.Option(
        "--step-rounds", min=1, rich_help_panel=_LOCAL, help="From one step to the next (step)."
    ),
]
StepFactor = Annotated[
    float,
    typer.Option("--step-factor", rich_help_panel=_LOCAL, help="Of the rate, at each step (step)."),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="fp32|bf16",
        rich_help_panel=_LOCAL,
        help="Of products; sums stay fp32.",
    ),
]

Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="words|messages|equal|clipped",
        rich_help_panel=_SERVER,
        help="What a user counts by. Else words, with scaffold equal.",
    ),
]
WeightCap = Annotated[
    int,
    typer.Option(
        "--weight-cap", min=0, rich_help_panel=_SERVER, help="Words a user counts for (clipped)."
    ),
]
ServerOptimizer = Annotated[
    str,
    typer.Option(
        "--server-optimizer",
        rich_help_panel=_SERVER,
        help="fedavg, fedavgm, fedadagrad, fedadam or fedyogi.",
    ),
]
ServerLearningRate = Annotated[
    float, typer.Option("--server-learning-rate", rich_help_panel=_SERVER)
]
ServerSchedule = Annotated[
    str,
    typer.Option(
        "--server-schedule",
        metavar="constant|linear|cosine|step|inverse-sqrt",
        rich_help_panel=_SERVER,
        help="How the server's rate falls; --warmup, --final-share and --step-… are of both.",
    ),
]
Momentum = Annotated[
    float,
    typer.Option(
        "--momentum",
        rich_help_panel=_SERVER,
        help="Of FedAvgM; beta 1 of the adaptive ones.",
    ),
]
Beta2 = Annotated[float, typer.Option("--beta2", rich_help_panel=_SERVER)]
Epsilon = Annotated[float, typer.Option("--epsilon", rich_help_panel=_SERVER)]
Averaging = Annotated[
    float,
    typer.Option(
        "--averaging",
        metavar="SHARE",
        rich_help_panel=_SERVER,
        help="Keep the mean of the weights over the rounds, which keeps this share of itself each "
        "round (0.99: about the last hundred); 0: the last weights.",
    ),
]

Downlink = Annotated[
    str,
    typer.Option(
        "--downlink",
        metavar="fp32|bf16",
        rich_help_panel=_MESSAGES,
        help="What weights travel as.",
    ),
]
Uplink = Annotated[
    str,
    typer.Option(
        "--uplink",
        metavar="fp32|bf16|int8|topk",
        rich_help_panel=_MESSAGES,
        help="What updates travel as.",
    ),
]
TopK = Annotated[
    float | None,
    typer.Option(
        "--topk",
        metavar="SHARE",
        rich_help_panel=_MESSAGES,
        help="Of an update that topk sends a round; else 0.01.",
    ),
]
