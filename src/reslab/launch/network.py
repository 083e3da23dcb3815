"""Ports and interfaces: where the ranks of several machines meet."""

import array
import socket
import struct
import sys

from reslab.errors import UsageError, arg

LOOPBACK = "127.0.0.1"
SIOCGIFADDR = 0x8915  # of Linux: the IPv4 address of an interface


def free_port(host: str = LOOPBACK) -> int:
    """A port of this machine on which nobody listens now; if another takes it first, rank 0 fails and is restarted."""
    with socket.socket(family(host)) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def place(word: str) -> tuple[str, int]:
    """(host, port) of HOST:PORT or [HOST]:PORT. Raises UsageError for anything else."""
    host, _, port = word.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(arg("master"), f" must be HOST:PORT, such as node0:29400, got {word!r}")
    return host, int(port)


def address_of(host: str) -> str:
    """The address of a host. Raises UsageError if its name is unknown."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UsageError(arg("master"), f": no machine is known here as {host!r} ({error})") from error
    return str(min(found, key=lambda one: one[0] != socket.AF_INET)[4][0])  # IPv4 first


def way_to(address: str) -> str:
    """This machine's own address on the way to another; nothing is sent."""
    with socket.socket(family(address), socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))
        own: str = probe.getsockname()[0]
        return own


def interface(own: str) -> str:
    """The name of the interface with this address of the machine; "" if it is not found: IPv4 on Linux alone."""
    if own == LOOPBACK:
        return "lo0" if sys.platform == "darwin" else "lo"
    if sys.platform != "linux" or family(own) != socket.AF_INET:
        return ""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            asked = array.array("B", struct.pack("256s", name.encode()[:15]))
            try:
                fcntl.ioctl(probe.fileno(), SIOCGIFADDR, asked, True)
            except OSError:  # it has no IPv4 address
                continue
            if socket.inet_ntoa(asked.tobytes()[20:24]) == own:
                return name
    return ""
