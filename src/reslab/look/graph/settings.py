"""Settings of PyTorch that hide what a model computes: off while a model is looked into, then as before."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.utils.checkpoint


class Shared:
    """A setting of the whole process: how many users in all threads need it changed; the last one restores it."""

    def __init__(self, change: Callable[[], Callable[[], None]]) -> None:
        self.change, self.restore = change, lambda: None
        self.lock, self.users = threading.Lock(), 0

    @contextlib.contextmanager
    def changed(self) -> Iterator[None]:
        with self.lock:
            if not self.users:
                self.restore = self.change()
            self.users += 1
        try:
            yield
        finally:
            with self.lock:
                self.users -= 1
                if not self.users:
                    self.restore()


def without_fused_attention() -> Callable[[], None]:
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    return lambda: torch.backends.mha.set_fastpath_enabled(before)


class Straight:
    """Takes the place of CheckpointFunction: the function runs once, as without checkpointing."""

    @staticmethod
    def apply(function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        return function(*args)


def straight(*args: Any, **kwargs: Any) -> Iterator[None]:
    """Takes the place of the generator whose two halves run before and after a checkpointed function."""
    yield


def without_checkpoints() -> Callable[[], None]:
    """A checkpointed block runs without gradients, or again in the backward pass: neither shows its gradients."""
    place: Any = torch.utils.checkpoint
    own = place.CheckpointFunction, place._checkpoint_without_reentrant_generator
    place.CheckpointFunction, place._checkpoint_without_reentrant_generator = Straight, straight

    def restore() -> None:
        place.CheckpointFunction, place._checkpoint_without_reentrant_generator = own

    return restore


def without_questions() -> Callable[[], None]:
    place: Any = sys.modules.get("transformers.utils.import_utils")
    own = getattr(place, "is_fake_tensor", None)
    if own is None:
        return lambda: None
    place.is_fake_tensor = lambda _: False
    return lambda: setattr(place, "is_fake_tensor", own)


ATTENTION, CHECKPOINTS = Shared(without_fused_attention), Shared(without_checkpoints)
QUESTIONS = Shared(without_questions)


def slow_attention() -> contextlib.AbstractContextManager[None]:
    """Inside, transformer layers do not hide their additions in a fused kernel."""
    return ATTENTION.changed()


def no_checkpoints() -> contextlib.AbstractContextManager[None]:
    """Inside, torch.utils.checkpoint runs its functions as if it were not there. The numbers are the same."""
    return CHECKPOINTS.changed()


def not_asked() -> contextlib.AbstractContextManager[None]:
    """transformers asks whether a tensor is fake and then computes otherwise; inside, it hears no."""
    return QUESTIONS.changed()
