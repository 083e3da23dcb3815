"""One piece of work and its progress in words: count, rate, time left."""

import time

from reslab.errors import one_line
from reslab.progress.protocol import Phase

clock = time.perf_counter


class Row:
    """How far one piece of work is. Rate and time left are measured from the start of its phase."""

    def __init__(self, name: str, unit: str = "") -> None:
        self.name, self.unit = one_line(name), unit  # unit: what a step is ("samples"), to show the rate
        self.done, self.total, self.note = 0, 0, ""
        self.began, self.now, self.first = clock(), clock(), 0

    def step(self, done: int, total: int, note: str = "") -> bool:
        """Take a report; returns whether it begins a phase."""
        begins = isinstance(note, Phase) and (not isinstance(self.note, Phase) or note != self.note)
        again = begins or done < self.done  # the same phase of the next piece counts from its own start
        self.done, self.total, self.note, self.now = done, total, note, clock()
        if again:
            self.began, self.first = self.now, done
        return begins

    @property
    def count(self) -> str:
        """1,200/14,600; nothing before the first report."""
        return f"{self.done:,}/{self.total:,}" if self.total else ""

    @property
    def detail(self) -> str:
        """The note, the rate and the time left, as far as they are known."""
        steps, seconds = self.done - self.first, self.now - self.began
        known = steps > 0 and seconds > 0
        rate = f"{per_second(steps / seconds)} {self.unit}/s" if self.unit and known else ""
        left = f"about {duration((self.total - self.done) * seconds / steps)} left" if known else ""
        parts = (str(self.note), "" if isinstance(self.note, Phase) else rate, left if self.done < self.total else "")
        return ", ".join(filter(None, parts))

    @property
    def line(self) -> str:
        """All of it in one line: "lesions 1,200/14,600: 1,830 samples/s, about 7 s left"."""
        if isinstance(self.note, Phase):
            step = f"{self.done:,} of {self.total:,}"
            step = f" (step {step})" if self.done and step not in self.note else ""
            return f"{self.name}: {self.note}{step}{self.detail.removeprefix(str(self.note))}"
        return f"{self.name} {self.count}" + (f": {self.detail}" if self.detail else "")


def per_second(rate: float) -> str:
    """1,830 or 4.2 or 0.03: a rate as a person writes it."""
    if rate >= 9.95:
        return f"{rate:,.0f}"
    return f"{rate:.1f}" if rate >= 0.995 else f"{rate:.2f}" if rate >= 0.01 else f"{rate:.4f}"


def duration(seconds: float) -> str:
    """40 s, 12 min, 3 h 20 min."""
    if seconds < 99.5:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def in_bytes(n: float) -> str:
    """`147 GB`, `5.3 MB`."""
    return f"{n / 1e9:,.3g} GB" if n >= 1e9 else f"{n / 1e6:,.2g} MB"
