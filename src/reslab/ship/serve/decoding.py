"""What images may cost while they are decoded: limits of their sides, and of all pixels in work."""

import contextlib
import threading
from collections import deque
from collections.abc import Iterator

from reslab.images.data.opened import opened
from reslab.ship.serve.refused import Refused

MOST_SIDE = 65_535  # pixels: Pillow holds two pointers for each row, so that a tall image costs more than its pixels


class Budget:
    """Pixels that all threads together may decode at the same time; who comes first goes first."""

    def __init__(self, pixels: int) -> None:
        self.free = self.all = pixels
        self.turn, self.line = threading.Condition(), deque[object]()

    @contextlib.contextmanager
    def taking(self, pixels: int) -> Iterator[None]:
        """Wait until so many pixels are free (a single image may have all), and take them."""
        pixels, me = min(pixels, self.all), object()
        with self.turn:
            self.line.append(me)
            self.turn.wait_for(lambda: self.line[0] is me and self.free >= pixels)
            self.line.popleft()
            self.free -= pixels
            self.turn.notify_all()
        try:
            yield
        finally:
            with self.turn:
                self.free += pixels
                self.turn.notify_all()


def size_of(data: bytes, limit: int) -> tuple[int, int] | None:
    """(width, height) by the header alone; None for what cannot be read, which reading words better."""
    try:
        with opened(data, limit=limit) as image:
            return image.size
    except Exception:  # on damaged bytes, Pillow's readers raise nearly anything
        return None


def check_side(width: int, height: int) -> None:
    """Raise Refused for an image that is too wide or too high."""
    if max(width, height) > MOST_SIDE:
        raise Refused(422, f"an image may have at most {MOST_SIDE:,} pixels on a side, got {width:,} x {height:,}")
