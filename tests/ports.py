"""Ports of this machine: free ones for servers that tests start, and those on which a process listens."""

import os
import random
import socket
from contextlib import suppress
from pathlib import Path

RANGE = (20_000, 32_000)
"""Below those that the kernel gives to connections: what is free now stays so until its server has started."""


def free_port(address: str = "127.0.0.1") -> int:
    """A port on which nothing listens, drawn at random, so that tests side by side do not draw the same."""
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(*RANGE)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((address, port))
            return port


def listening(pid: int) -> set[str]:
    """Addresses on which a process listens, with its children's, as the kernel knows them."""
    tree = {pid}
    for status in Path("/proc").glob("[0-9]*/status"):  # parents have lower numbers, but for a wrap
        with suppress(OSError):
            words = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
            if int(words["PPid"]) in tree:
                tree.add(int(words["Pid"]))
    sockets = set()
    for process in tree:
        with suppress(OSError):  # it has ended meanwhile
            for descriptor in os.listdir(f"/proc/{process}/fd"):
                with suppress(OSError):
                    link = os.readlink(f"/proc/{process}/fd/{descriptor}")
                    sockets.add(link.removeprefix("socket:[").removesuffix("]"))
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = row.split()
            if rest[5] in sockets and (state == "0A" or table.startswith("udp")):
                packed = bytes.fromhex(local.partition(":")[0])
                words = [packed[i : i + 4][::-1] for i in range(0, len(packed), 4)]
                found.add(socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, b"".join(words)))
    return found
