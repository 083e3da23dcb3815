"""Standard output and error that cannot end the work."""

from typing import Any, TextIO, cast


class Lasting:
    """A text stream whose writes do not raise if the disk is full or the reader is gone; otherwise the stream itself.

    `error` is the first failure, for a caller that must know whether everything was written.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.error: Exception | None = None

    def write(self, text: str) -> int:
        self.attempt(lambda: self.stream.write(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self.attempt(self.stream.flush)

    def attempt(self, write: Any) -> None:
        try:
            write()
        except UnicodeError:
            raise
        except (OSError, ValueError) as error:  # ValueError: the file is closed
            self.error = self.error or error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def lasting(stream: TextIO | None) -> TextIO | None:
    """The stream, made lasting; None, a stream that was closed before the start, stays None."""
    return stream if stream is None or isinstance(stream, Lasting) else cast(TextIO, Lasting(stream))
