"""Claims and what was measured of them, for tests."""

from typing import Any

from reslab.study.claims.record import Claim, Figure, Measured, Prediction


def claim(direction: str = "above", *, threshold: float = 0.0, margin: float = 1.0, **changes: Any) -> Claim:
    predicted = Prediction(quantity="error of a minus that of b", unit="points", direction=direction,
                           threshold=threshold, margin=margin, why="by hand")  # fmt: skip
    given: dict[str, Any] = {
        "name": "a-claim", "title": "A claim", "paper": "he2015", "where": "section 1", "sentence": "A is above b.",
        "formula": "a − b > 0", "meaning": ("One.", "Two.", "Three."), "experiment": "compare",
        "settings": {"train": {"recipe": "digits", "net": "resnet8", "changes": {"iterations": 2}},
                     "metric": "train_error", "scale": "difference",
                     "a": {"net": "plain8"}, "b": {"net": "resnet8"}},
        "data": {"digits": {}}, "prediction": predicted, "deviations": ("Small.",), "turns": "Other nets.",
        "false": {"a": {"net": "resnet8"}}, "fixed": "2026-11-30", "hash": "",
    }  # fmt: skip
    return Claim(**{**given, **changes})


def measured(*effects: float, noise: float = 0.0) -> Measured:
    return Measured(effects=effects, cases=[f"seed {k}" for k in range(len(effects))], noise=noise,
                    figure=Figure(kind="pairs", x="", y="", series=[]))  # fmt: skip
