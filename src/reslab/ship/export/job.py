"""The whole export: convert, prove, choose a precision, prove that, write the folder; or leave nothing behind."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from reslab.errors import ReslabError, UsageError, tell
from reslab.progress import Phase, Progress, silent
from reslab.run import Run, processor
from reslab.ship.engines import Engine
from reslab.ship.export.card import write_card, write_license
from reslab.ship.export.convert import convert
from reslab.ship.export.layers import differing, roughest
from reslab.ship.export.named import exportable
from reslab.ship.export.passes import engines, original, taken
from reslab.ship.export.plan import announced
from reslab.ship.export.precision import HAS, Made, Maker, check, native_bf16
from reslab.ship.export.proof import Mixed, NotEqual, prove
from reslab.ship.export.results import Exported, Proof
from reslab.ship.export.speed import fastest, measured
from reslab.ship.export.staging import staged
from reslab.ship.export.versions import versions
from reslab.ship.exportable import Exportable
from reslab.ship.folder import PROOF, read_config, seal, write_config
from reslab.ship.record import ENGINES, Config, EngineName, Port, Precision
from reslab.train.cores import usable_cores

MAX_DROP = 0.5  # percentage points
SAMPLES = 1000  # of the validation part: one decision in 1000 is the tenth of a percent that fp32 may differ by
NO_BF16 = "this processor does not compute in bf16 itself"
UNKNOWN = "not stated: ask whoever made the weights before you pass them on"
Asked = Literal["auto", "fp32", "bf16", "int8"]


def export(
    subject: Exportable | str | Path, *, out: str | Path, to: EngineName = "openvino", precision: Asked = "auto",
    max_drop: float = MAX_DROP, samples: int = SAMPLES, threads: int = 0, license: str | None = None,
    data: Any = None, model: Mapping[str, Any] | None = None, progress: Progress = silent,
) -> Exported:  # fmt: skip
    """Export a model to the folder `out`, which predicts without the model's code, and prove it equal to the model.

    `subject`: a MODEL word, such as a run folder, or what a family brings (`Exportable`). `data`: as for
    `reslab.train`, to prove a word's model on that is no run; `model`: further options of `subjects.subject`. `to`: the
    engine. `precision`: "auto" times fp32, bf16 and int8 here and takes the fastest whose score drops by at most
    `max_drop` percentage points; without data it is fp32.
    `samples`: of the validation part, for the proof. `threads`: of the engine, 0: as many as it thinks best. `license`
    of the weights: an SPDX name or a sentence.

    Everything is written aside and takes the place of `out` at the end: an export of the same model that is there is
    replaced at once. Raises UsageError for a wrong request, NotEqual if the exported model is not the original one,
    ReslabError if it cannot be converted; then nothing is written and `out` is as it was.
    """
    check_request(to, precision, max_drop, samples, threads)
    if isinstance(subject, str | Path):
        subject = exportable(str(subject), data=data, license=license, **(model or {}))
    place = Path(out)
    with staged(place, kind=subject.kind, name=subject.name) as folder:
        made = Job(subject, folder, to=to, precision=precision, max_drop=max_drop, samples=samples, threads=threads,
                   license=license or getattr(subject, "license", None) or UNKNOWN,
                   progress=progress).result()  # fmt: skip
        write(replace(made, folder=place), folder)
    return replace(made, folder=place)


def check_request(to: str, precision: str, max_drop: float, samples: int, threads: int) -> None:
    """Raise UsageError for an engine, a precision or a number that cannot be."""
    if to not in ENGINES:
        raise UsageError(f"models are exported to {', '.join(ENGINES)}, not to {to!r}")
    check(to, precision)
    if not 0 <= max_drop <= 100:
        raise UsageError(f"max_drop must be between 0 and 100 percentage points, got {max_drop:g}")
    for name, value, least in (("samples", samples, 1), ("threads", threads, 0)):
        if isinstance(value, bool) or value < least:
            raise UsageError(f"{name} must be {least} or more, got {value}")


class Job:
    """An export into `folder`, which is new and empty."""

    def __init__(
        self, subject: Exportable, folder: Path, *, to: EngineName, precision: Asked, max_drop: float, samples: int,
        threads: int, license: str, progress: Progress,
    ) -> None:  # fmt: skip
        self.subject, self.folder, self.to, self.precision = subject, folder, to, precision
        self.max_drop, self.samples, self.threads, self.license = max_drop, samples, threads, license
        self.progress, self.notes = progress, list[str]()
        self.refused: dict[str, str] = {}
        self.loaded: dict[Precision, list[Engine]] = {}  # what was proved, which is also what is timed

    def result(self) -> Exported:
        """Convert, prove, choose; the files of the chosen precision are in the folder."""
        self.progress(0, 0, Phase(f"reading the data of {self.subject.name}"))
        self.examples = self.subject.proof(self.samples)
        if not all(map(len, self.examples)):
            raise UsageError(f"there are no examples to prove the export of {self.subject.name} on")
        others = self.others()
        tell("%s", announced(self.subject, self.examples, self.to, others))
        self.progress(0, 0, Phase(f"converting {self.subject.name} for {self.to}"))
        self.graphs = self.subject.graphs()
        self.config = self.converted()
        self.before = original(self.subject, self.examples, self.progress)
        self.maker = Maker(subject=self.subject, graphs=self.graphs, folder=self.folder, config=self.config,
                           examples=self.examples, before=self.before, max_drop=self.max_drop, threads=self.threads,
                           samples=self.samples, progress=self.progress)  # fmt: skip
        exact = Made(folder=self.folder, config=self.config)
        proofs: dict[Precision, tuple[Made, Proof]] = {"fp32": (exact, self.proved(exact))}
        for one in others:
            self.tried(one, proofs)
        speeds = measured(self.loaded, self.examples, self.progress)
        chosen = fastest(speeds, list(proofs)) if self.precision == "auto" else self.precision
        made, proof = proofs[chosen]
        self.keep(made)
        tried = tuple(each for name, (_, each) in proofs.items() if name != chosen)
        notes = (*self.subject.notes, *self.notes, *self.maker.notes)
        return Exported(
            folder=self.folder, config=made.config, proof=proof, tried=tried, speeds=speeds, refused=self.refused,
            max_drop=self.max_drop, machine=machine(self.loaded["fp32"][0].device), threads=self.threads,
            cores=usable_cores(), notes=tuple(dict.fromkeys(notes)),
        )  # fmt: skip

    def converted(self) -> Config:
        """The graphs in fp32, and the config that describes them."""
        files, inputs, outputs = list[str](), tuple[Port, ...](), tuple[Port, ...]()
        for which, graph in enumerate(self.graphs):
            name = "model" if len(self.graphs) == 1 else f"s{which}/model"
            (self.folder / name).parent.mkdir(exist_ok=True)
            file, takes, gives = convert(graph, self.to, self.folder, name)
            files.append((Path(name).parent / Path(file).name).as_posix())
            inputs, outputs = inputs or takes, outputs or gives
        return Config(
            kind=self.subject.kind, engine=self.to, precision="fp32", name=self.subject.name, word=self.subject.word,
            files=tuple(files), inputs=inputs, outputs=outputs, license=self.license, about=self.subject.about(),
            versions=versions(self.to),
        )  # fmt: skip

    def others(self) -> Sequence[Precision]:
        """The precisions to be made besides fp32."""
        known = not any(one.random for one in self.examples) and self.examples[0].targets is not None
        if self.precision != "auto":
            if self.precision != "fp32" and not known:
                self.notes.append(f"what {self.precision} costs was not checked: there are no labeled data")
            if self.precision == "bf16" and not native_bf16(self.to):
                self.notes.append(f"{NO_BF16}, so bf16 gains nothing here")
            return [] if self.precision == "fp32" else [self.precision]
        if not known:
            self.notes.append("fp32 was chosen without trying others: there are no labeled data to check them on")
            return []
        found = [one for one in HAS[self.to] if one != "fp32"]
        if "bf16" in found and not native_bf16(self.to):
            found.remove("bf16")
            self.refused["bf16"] = f"{NO_BF16}, so it cannot be faster"
        return found

    def tried(self, precision: Precision, proofs: dict[Precision, tuple[Made, Proof]]) -> None:
        """Make and prove one more precision. `auto` notes why one is not taken; one asked for raises."""
        try:
            made = self.maker.made(precision)
            proofs[precision] = made, self.proved(made)
        except ReslabError as error:
            if self.precision != "auto":
                raise
            self.refused[precision] = error.sentence

    def proved(self, made: Made) -> Proof:
        """The proof. Raises NotEqual with the layers that differ."""
        loaded = engines(made.folder, made.config, threads=self.threads)
        try:
            proof = prove(self.subject, self.graphs, loaded, made.config, examples=self.examples, before=self.before,
                          max_drop=self.max_drop, progress=self.progress, int8=made.int8)  # fmt: skip
        except Mixed:
            raise
        except NotEqual as error:
            raise self.explained(error, made) from error
        self.loaded[made.config.precision] = loaded
        return proof

    def explained(self, error: NotEqual, made: Made) -> NotEqual:
        """The error with the layers that differ, on the batch of the example that differs most."""
        self.progress(0, 0, Phase("finding the layers that differ"))
        layers: tuple[Any, ...] = ()
        for which, (graph, name) in enumerate(zip(self.graphs, made.config.files, strict=True)):
            start = error.first // error.batch * error.batch
            inputs = taken(self.examples[which].inputs, start, error.batch)
            find = differing if made.config.precision == "fp32" else roughest
            layers = find(graph, made.folder / name, made.config, inputs)
            if layers:
                break
        exact = made.config.precision == "fp32"
        if layers:
            first, what = layers[0], "the first layer that differs" if exact else "the layer that differs most"
            why = f"; {what} is {first.name} ({first.kind}): by {first.difference:.3g} of {first.size:.3g}"
        elif exact:
            why = "; no layer of the file differs from the folded model, so the folding or the preprocessing does"
        else:
            why = ""
        return NotEqual(error, why, batch=error.batch, first=error.first, layers=layers)

    def keep(self, made: Made) -> None:
        """Leave the files of one precision in the folder."""
        if made.folder != self.folder:
            for name in self.config.files:
                clear(self.folder / name)
            for path in sorted(made.folder.rglob("*")):
                if path.is_file():
                    place = self.folder / path.relative_to(made.folder)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    path.replace(place)
        shutil.rmtree(self.folder / ".int8", ignore_errors=True)
        self.subject.beside(self.folder)


def machine(device: str) -> str:
    """The processor's or the GPU's name."""
    if not device.startswith("cuda"):
        return processor() if device.lower() == "cpu" else f"{device} ({processor()})"
    import torch

    return torch.cuda.get_device_name(device)


def clear(path: Path) -> None:
    """Remove a graph with its weights."""
    for one in (path, path.with_suffix(".bin"), path.with_name(path.name + ".data")):
        one.unlink(missing_ok=True)


def write(made: Exported, folder: Path) -> None:
    """Write what stands beside the graphs; the checksums last. Raises ReslabError if the folder could not be read."""
    write_config(folder, made.config)
    read_config(folder)
    Run(folder).write_json(PROOF, made.as_dict())
    write_license(made, folder)
    write_card(made, folder)
    seal(folder)
