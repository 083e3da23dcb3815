"""The card of an exported folder, README.md: what it is, how to predict, what was measured, what was assumed."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from reslab.errors import one_line
from reslab.ship.engines.openvino import HINT
from reslab.ship.export.plan import ENGINE
from reslab.ship.export.results import Agreement, Exported, Proof, Speed
from reslab.ship.folder import CARD, LICENSE
from reslab.stored.write import write_aside

TAKES = {"images": "images", "questions": "questions about texts", "tables": "rows of a table"}
TASK = {"images": "image-classification", "questions": "question-answering", "tables": "tabular-classification"}
COMMAND = {
    "images": "reslab predict {} photo.jpg",
    "questions": "reslab predict {} questions.json",
    "tables": "reslab predict {} rows.csv",
}
PYTHON = {
    "images": 'model("photo.jpg")',
    "questions": 'model.ask("Who built the harbor?", "The harbor was built by Ada.")',
    "tables": 'model.predict("rows.csv")',
}
LABELS = 30  # that the card names
SPDX = re.compile(r"[A-Za-z0-9.+-]{2,40}")


def write_card(made: Exported, folder: Path) -> None:
    text = "\n".join(lines(made)) + "\n"
    write_aside(folder / CARD, lambda file: file.write(text.encode(errors="backslashreplace")))


def write_license(made: Exported, folder: Path) -> None:
    """The line about the weights."""
    text = f"License of the weights: {one_line(made.config.license)}\n"
    write_aside(folder / LICENSE, lambda file: file.write(text.encode(errors="backslashreplace")))


def lines(made: Exported) -> Iterator[str]:
    config, proof = made.config, made.proof
    yield from front(made)
    yield f"# {plain(config.name)}"
    yield ""
    yield (f"A model for {TAKES[config.kind]}, exported from `{code(config.word)}` to {ENGINE[config.engine]} in "
           f"{config.precision} by reslab {config.versions.get('reslab', '')}.")  # fmt: skip
    yield from section("Predict", predict(made))
    if labels := [str(one) for one in config.about.get("classes") or ()]:
        more = f" and {len(labels) - LABELS:,} more in config.json" if len(labels) > LABELS else ""
        named = ", ".join(f"`{code(one)}`" for one in labels[:LABELS])
        yield from section(f"The {len(labels):,} labels", [named + more])
    yield from section("Is it the original model?", proved(proof))
    yield from section("Its score", scores(made))
    yield from section("How fast it is", speeds(made))
    if notes := [f"- {plain(one)}" for one in made.notes]:
        yield from section("Notes", notes)
    yield from section("License", [f"License of the weights: {plain(config.license)}"])


def section(title: str, text: list[str]) -> list[str]:
    return ["", f"## {title}", "", *text]


def front(made: Exported) -> list[str]:
    """What the Hugging Face Hub reads."""
    known = made.config.license if SPDX.fullmatch(made.config.license) else "other"
    return ["---", f"license: {known.lower()}", "library_name: reslab", f"pipeline_tag: {TASK[made.config.kind]}",
            f"tags: [{made.config.engine}, {made.config.precision}]", "---", ""]  # fmt: skip


def predict(made: Exported) -> list[str]:
    kind, name = made.config.kind, one_line(made.folder.resolve().name)
    at = shlex.quote(name)
    shell = ["```sh", "pip install 'reslab[ship]'", COMMAND[kind].format(at), f"reslab serve {at}", "```"]
    python = ["```python", "import reslab", "", f"model = reslab.predict({name!r})", f"print({PYTHON[kind]})", "```"]
    return [f"Run this where the folder `{code(name)}` is:", "", *shell, "", *python, *alone(made, name)]


def alone(made: Exported, name: str) -> list[str]:
    """How OpenVINO by itself computes in the precision that was proved: a file cannot say it (2026.4)."""
    config = made.config
    if config.engine != "openvino":
        return []
    hint = HINT[config.precision]
    why = ("OpenVINO computes in bf16 on processors that have it, and its outputs are not those that were compared here"
           if hint == "f32" else "OpenVINO computes in fp32 on processors without bf16")  # fmt: skip
    loaded = ["import openvino", "", "core = openvino.Core()", f'options = {{"INFERENCE_PRECISION_HINT": "{hint}"}}',
              f"model = core.compile_model({f'{name}/{config.files[0]}'!r}, 'CPU', options)"]  # fmt: skip
    return ["", f"With OpenVINO alone, set the precision; otherwise {why}.", "", "```python", *loaded, "```"]


def proved(proof: Proof) -> list[str]:
    """The comparison with the original model, which is fp32 in PyTorch."""
    where = "random inputs, as there were no data: its score is not known" if proof.random else plain(proof.where)
    text = [f"The exported model was compared with the original one, fp32 in PyTorch, on {where}.", ""]
    text += ["| batch | decisions | the same | ties | largest difference |", "|---:|---:|---:|---:|---|"]
    text += [row(one) for one in proof.agreements]
    if any(one.ties for one in proof.agreements):
        text += ["", "Tie: all outputs are equal within 1e-4, so rounding decided."]
    if proof.other_lengths:
        text += ["", f"Inputs of other sizes: {plain(proof.other_lengths)}."]
    if proof.precision == "int8":
        text += ["", f"{proof.int8_layers:,} layers compute in int8; {proof.put_back:,} that cost too much were put "
                     "back to fp32."]  # fmt: skip
    return text


def row(one: Agreement) -> str:
    gaps = ", ".join(f"{name} {gap:.2g}" for name, gap in one.differences.items())
    return f"| {one.batch} | {one.n:,} | {one.same:,} ({100 * one.share:.2f} %) | {one.ties:,} | {gaps} |"


def scores(made: Exported) -> list[str]:
    """Before and after with intervals, of every precision that was measured; why others were not taken."""
    text: list[str] = []
    known = [one for one in (made.proof, *made.tried) if one.score]
    if not known:
        text.append("Not known: there were no labeled data to measure it on.")
    else:
        text += [f"| precision | {known[0].score.unit if known[0].score else ''} | 95 % interval | points lost | 95 % "
                 "interval | n |", "|---|---:|---|---:|---|---:|"]  # fmt: skip
        text += [scored(one) for one in known]
        first = known[0].score
        assert first is not None
        text += ["", f"The original model: {first.before:.2f} % (95 % interval {first.before_low:.2f} to "
                     f"{first.before_high:.2f}). A precision may be taken if it loses at most {made.max_drop:g} "
                     "points on these examples: the measured loss decides, not its interval."]  # fmt: skip
    if made.proof.put_back:
        text += ["", "The layers that were put back were chosen on these examples too, so other data may lose more."]
    text += [""] * bool(made.refused)
    text += [f"- {name} was not taken: {plain(why)}" for name, why in made.refused.items()]
    return text


def scored(one: Proof) -> str:
    found = one.score
    assert found is not None
    return (f"| {one.precision} | {found.after:.2f} % | {found.after_low:.2f} to {found.after_high:.2f} | "
            f"{found.drop:.2f} | {found.drop_low:.2f} to {found.drop_high:.2f} | {found.n:,} |")  # fmt: skip


def speeds(made: Exported) -> list[str]:
    threads = f"{made.threads} thread{'s' * (made.threads > 1)}" if made.threads else (
        f"as many threads as it takes of {made.cores} cores")  # fmt: skip
    text = [f"Examples per second on {plain(made.machine)}, {threads}; the precisions were timed in turn. Reading "
            "files is not counted.", ""]  # fmt: skip
    text += ["| precision | batch | examples/s | 95 % interval of the median | timings |", "|---|---:|---:|---|---:|"]
    return text + [timed(one) for one in made.speeds]


def timed(one: Speed) -> str:
    return f"| {one.precision} | {one.batch} | {one.per_second:,.1f} | {one.low:,.1f} to {one.high:,.1f} | {one.n} |"


def plain(text: object) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>|#~$&])", r"\\\1", one_line(text))


def code(text: str) -> str:
    """Text within backticks."""
    return one_line(text).replace("`", "'")
