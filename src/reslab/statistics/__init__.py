"""Every test, interval, correction and calibration error that reslab prints."""

from reslab.statistics.calibration import Bin, Reliability, reliability
from reslab.statistics.comparisons import (
    Difference,
    Equivalence,
    bootstrap,
    compare_counts,
    compare_known,
    compare_rates,
    counting_variance,
    equivalence,
    holm,
    interval_variance,
    mean,
    mean_interval,
    p_text,
    plus_minus,
    std,
    welch,
)
from reslab.statistics.one_sample import Sample, differs, outside, sample, smallest_effect, smallest_margin, within
from reslab.statistics.shares import (
    LEVEL,
    Interval,
    clustered,
    f1,
    f1_interval,
    median_interval,
    newcombe,
    paired,
    rank_interval,
    ratio_interval,
    reaching_zero,
    sign_test,
    student,
    wilson,
)
from reslab.statistics.temperature import LIMITS, Temperature, best_temperature

__all__ = [
    "LEVEL", "LIMITS", "Bin", "Difference", "Equivalence", "Interval", "Reliability", "Sample", "Temperature",
    "best_temperature", "bootstrap", "clustered", "compare_counts", "compare_known", "compare_rates",
    "counting_variance", "differs", "equivalence", "f1", "f1_interval", "holm", "interval_variance", "mean",
    "mean_interval", "median_interval", "newcombe", "outside", "p_text", "paired", "plus_minus", "rank_interval",
    "ratio_interval", "reaching_zero", "reliability", "sample", "sign_test", "smallest_effect", "smallest_margin",
    "std", "student", "welch", "wilson", "within",
]  # fmt: skip
