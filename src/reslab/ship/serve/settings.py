"""What `reslab serve` was asked for: limits, times, and where it listens."""

from dataclasses import dataclass

from reslab.errors import UsageError, arg

LOOPBACK = ("127.0.0.1", "::1", "localhost")
DRAIN = 0.5  # seconds in which a stopping server still takes connections and asks clients to close theirs
STOP = 5.0  # seconds that stopping may take on top of the time of one request


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Checked when made: raises UsageError."""

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    threads: int = 0  # CPU threads of the models in each worker; 0: the cores divided by the workers
    token: str | None = None
    hosts: tuple[str, ...] = ()  # further names under which it may be called; (): any, unless for this machine alone
    max_batch: int = 8
    max_delay_ms: float = 5.0
    queue: int = 64  # images, questions or requests of rows that may wait, for each model
    max_bytes: int = 32 * 2**20  # of a request
    max_pixels: int = 2**26  # of an image: 64 megapixels
    max_files: int = 64  # of a request
    max_text: int = 200_000  # characters of a question and its texts
    timeout: float = 30.0  # seconds for receiving a request, and for answering it
    reload: float = 0.0  # seconds between looks for a new version; 0: only on SIGHUP or when asked

    def __post_init__(self) -> None:
        for name, least in (("workers", 1), ("threads", 0), ("max_batch", 1), ("queue", 1), ("max_bytes", 1024),
                            ("max_pixels", 1), ("max_files", 1), ("max_text", 1), ("max_delay_ms", 0),
                            ("reload", 0)):  # fmt: skip
            if not getattr(self, name) >= least:
                raise UsageError(arg(name), f" must be at least {least}, got {getattr(self, name)}")
        if not 0 < self.timeout <= 3600:
            raise UsageError(arg("timeout"), f" must be more than 0 and at most 3600 seconds, got {self.timeout:g}")
        if not self.max_delay_ms <= 10_000:
            raise UsageError(arg("max_delay_ms"), f" must be at most 10000, got {self.max_delay_ms:g}")
        if not 0 <= self.port <= 65535:
            raise UsageError(arg("port"), f" must be from 0 to 65535, got {self.port}")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and len(self.token) >= 8
                                           and " " not in self.token):  # fmt: skip
            raise UsageError("the token must have at least 8 characters, all of them ASCII, and no spaces")

    @property
    def local(self) -> bool:
        """Whether it can be reached from this machine alone."""
        return self.host in LOOPBACK or self.host.startswith("127.")

    @property
    def stop_seconds(self) -> float:
        """The longest that stopping takes: requests that were accepted are finished."""
        return self.timeout + DRAIN + STOP
