"""Flags that the verbs of `reslab claims` share."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from reslab.cli.options import whole

Data = Annotated[
    str,
    Parameter(
        help="Data, as for `reslab train`; or a file or folder of texts (.txt, .md) or of questions (.json, as "
        "SQuAD's), for the claims about language models and readers."
    ),
]
Own = Annotated[
    Path | None,
    Parameter(name="--claims", help="Folder with claims of your own, TOML files, which are added to reslab's."),
]
Seed = Annotated[int, Parameter(help="The first seed.", converter=whole)]
Seeds = Annotated[
    int | None,
    Parameter(help="Seeds per claim, counted up from --seed (default: each claim's number).", converter=whole),
]
