"""Predict images with an exported folder: decoded by Pillow as in training, computed by the folder's engine. No torch
for OpenVINO and ONNX."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from reslab.errors import ReslabError, UsageError, arg
from reslab.images.calling import NO_VALIDATION, answer, check, line_of, predictions
from reslab.images.decoding import Decoded, Part, in_batches, length
from reslab.images.inputs import Source
from reslab.images.pixels import PixelReader, reading_of
from reslab.nets.predictions import Mirror, Prediction
from reslab.ship.engines import Engine, engine
from reslab.ship.folder import CONFIG
from reslab.ship.record import Config
from reslab.stored import ships
from reslab.stored.files import named
from reslab.stored.read import held
from reslab.train.cores import usable_cores

BATCH = 16  # images at a time: an engine on a CPU gains nothing from more, and they take memory
MOST_THREADS = 8  # that decode
SMALL = 8 * 2**10  # bytes of an encoded image: a smaller one is decoded sooner than it is handed to a thread
NO_FLIP = ("this net subtracts a mean of each pixel, so that its exported graph cannot mirror images as training did; "
           "set ")  # fmt: skip
INPUT, OUTPUT = "images", "scores"  # of the graph


@dataclass(eq=False, repr=False)
class ImagePredictor:
    """What `reslab.predict(FOLDER)` gives for images; called as `reslab.load(RUN).predict` is, with the same answers.

    Several threads may call it at once.
    """

    engine: Engine
    config: Config
    classes: tuple[str, ...]
    preprocess: PixelReader  # any image to the uint8 (H, W, C) that the graph takes
    temperature: float
    calibration: str  # how the probabilities are calibrated, or why they are not
    several: bool  # whether an image may have several labels
    flip: bool = True  # whether a mirrored image is normalized to the mirrored normalized image, which training showed
    version: str = field(default="")  # a digest of the folder

    def __call__(
        self, images: Any, *, tta: Mirror = "none", batch: int = BATCH, workers: int | None = None,
        precision: str = "auto",
    ) -> Any:  # fmt: skip
        """The Prediction of one image, or the Predictions of several.

        images: a path, the bytes of a file, a PIL image, an array (H, W) or (H, W, C), a tensor (C, H, W) of uint8 or
        of floats from 0 to 1; several: a list of these, an array (N, H, W, C), a tensor (N, C, H, W). tta "flip": the
        mean probability of each image and its mirror image. `workers` threads decode files; None: chosen by their
        number. `precision`: "auto", or the folder's own. Raises UsageError for what is no image and for another
        precision, BrokenImage for a file that cannot be read.
        """

        def probabilities(sources: list[Source]) -> Iterator[Part]:
            return self.stream(sources, tta=tta, batch=batch, workers=workers, precision=precision)

        return answer(self, images, probabilities)

    def stream(
        self, sources: Sequence[Source], *, tta: Mirror = "none", batch: int = BATCH, workers: int | None = None,
        precision: str = "auto",
    ) -> Iterator[Part]:  # fmt: skip
        """The probabilities of many images, a batch at a time; of broken ones, the reason. Memory stays bounded."""
        check(tta=tta, batch=batch, workers=workers)
        self.chosen(precision)
        if tta == "flip" and not self.flip:
            raise UsageError(NO_FLIP, arg("tta", "none"), " or predict with the run")
        threads = threads_for(sources) if workers is None else workers
        found = in_batches(sources, self.preprocess, batch=batch, threads=threads)
        return (self.part(one, flip=tta == "flip", done=min(len(sources), (k + 1) * batch))
                for k, one in enumerate(found))  # fmt: skip

    def part(self, decoded: Decoded, *, flip: bool, done: int) -> Part:
        """A batch of decoded images with its probabilities."""
        values = np.empty((0, 0))
        if len(decoded.pixels):
            values = self.probabilities(decoded.pixels)
            if flip:
                values = (values + self.probabilities(np.ascontiguousarray(decoded.pixels[:, :, ::-1]))) / 2
        return Part(index=decoded.index, values=values, broken=decoded.broken, remarks=Counter(decoded.remarks),
                    done=done)  # fmt: skip

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Probabilities, float64 (B, K), of uint8 images (B, H, W, C) of the net's size."""
        scores = self.engine.run({INPUT: pixels})[OUTPUT]
        return calibrated(scores, self.temperature, several=self.several)

    def predictions(self, part: Part, names: Sequence[str]) -> list[Prediction]:
        """The predictions of one part of `stream`, whose images have these names."""
        return predictions(self, part, names)

    def chosen(self, precision: str) -> str:
        """The folder's precision. Raises UsageError if another was asked for."""
        own = self.config.precision
        if precision not in ("auto", own):
            raise UsageError(f"precision must be auto or {own}, in which the model was exported, got {precision!r}; "
                             "export it again for another")  # fmt: skip
        return own

    def __repr__(self) -> str:
        return line_of(self, self.preprocess.shape)


def calibrated(scores: np.ndarray, temperature: float, *, several: bool) -> np.ndarray:
    """softmax(scores / T), or sigmoid(scores / T) if an image may have several labels: float64, as scores (N, K)."""
    z = scores.astype(np.float64) / temperature
    if several:
        return np.asarray(np.exp(-np.logaddexp(0, -z)))
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def threads_for(sources: Sequence[Source]) -> int:
    """Number of decoding threads: one per usable core up to 8; 0 for one image, or for small ones: decoded at once."""
    some = [sources[i] for i in range(0, len(sources), max(1, len(sources) // 20))]
    total = sum(len(one) if isinstance(one, bytes) else length(one) if isinstance(one, Path) else 0 for one in some)
    if len(sources) < 2 or total < SMALL * len(some):
        return 0
    return min(usable_cores(), MOST_THREADS)


def load(folder: Path, config: Config, *, threads: int = 0, device: str = "auto") -> ImagePredictor:
    """The predictor of an exported folder. Raises ReslabError for a damaged one, and as `engines.engine` does."""
    about = held(ships.ImagesConfig, {"about": config.about}, folder / CONFIG)["about"]
    C, H, W = about["shape"]
    classes = tuple(about["classes"])
    ports = {one.name: one for one in (*config.inputs, *config.outputs)}
    if lacking := [name for name in (INPUT, OUTPUT) if name not in ports]:
        raise ReslabError(f"{named(folder / CONFIG)} is damaged: a graph for images has the port {lacking[0]!r}; "
                          "export the model again")  # fmt: skip
    if ports[OUTPUT].shape[1:] != (len(classes),):
        raise ReslabError(f"{named(folder / CONFIG)} is damaged: it names {len(classes)} classes, and the graph gives "
                          f"scores of the shape {ports[OUTPUT].shape}; export the model again")  # fmt: skip
    reader = PixelReader(shape=(C, H, W), reading=reading_of(about["reading"]))
    made = engine(folder, config, threads=threads, shapes={INPUT: (H, W, C)}, device=device)
    return ImagePredictor(engine=made, config=config, classes=classes, preprocess=reader,
                          temperature=about["temperature"], calibration=worded(about["calibration"]),
                          several=about["several"], flip=about.get("flip", True))  # fmt: skip


def worded(calibration: str) -> str:
    """The stored sentence with its arguments, which the command line words as flags."""
    return NO_VALIDATION if calibration == NO_VALIDATION else calibration
