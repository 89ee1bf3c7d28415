"""The names by which browsers may ask for the dashboard's pages.

A server that answers to any name can be asked by pages of strangers, in a browser of this machine
(DNS rebinding). MLflow answers to loopback and private addresses of itself.
"""

import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress

__all__ = ["names_for_others", "origins", "own_names", "with_ports"]

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
EVERYWHERE = ("0.0.0.0", "::", "")
# What MLflow allows when nothing is said: addresses that no stranger's name can be of.
PRIVATE = ("192.168.*", "10.*", *(f"172.{part}.*" for part in range(16, 32)), "fc00:*", "fd00:*")


def own_names(host: str) -> list[str]:
    """Return the names of a server that listens at `host`: loopback, and what others call it."""
    if _is_loopback(host):
        return list(LOOPBACK)
    return list(dict.fromkeys([*LOOPBACK, "0.0.0.0", *PRIVATE, *names_for_others(host)]))


def names_for_others(host: str) -> list[str]:
    """Return the names that people on other machines can type; none for a server of this one."""
    if _is_loopback(host):
        return []
    if host not in EVERYWHERE:
        return [_bracketed(host)]
    name, full = socket.gethostname(), socket.getfqdn()
    found = [full, name, *_addresses(name)]
    return [each for each in dict.fromkeys(found) if each and not _is_loopback(each)]


def with_ports(names: Iterable[str]) -> list[str]:
    """Return each name as requests say it, with a port and without.

    Those with a star are patterns, in which a bracket has to be one of a set.
    """
    return [each for name in names for each in (name, f"{name.replace('[', '[[]')}:*")]


def origins(names: Sequence[str], port: int) -> list[str]:
    """Return the origins of pages at these names, whose requests may change something."""
    found = []
    for name in names:
        found += [f"http://{name}:{port}", f"http://{name}", f"https://{name}"]
    return found


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1", "[::1]", "localhost.localdomain") or host.startswith("127.")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _addresses(name: str) -> list[str]:
    """The machine's addresses: those of its name, and the one that it asks others from."""
    found: list[str] = []
    with suppress(OSError):
        found += [str(info[4][0]) for info in socket.getaddrinfo(name, None, socket.AF_INET)]
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # an address of documentation; nothing is sent
        found.append(str(probe.getsockname()[0]))
    return found
