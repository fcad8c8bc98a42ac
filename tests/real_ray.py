"""A real Ray cluster of several nodes on this machine."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_LONGEST_S = 60


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def cluster(environment: Mapping[str, str], n_nodes: int = 2, cpus_each: int = 2) -> Iterator[str]:
    """Start nodes and end them; gives the address.

    `ray stop` would end every cluster of the machine, so each node runs in a process that is ended.

    Args:
        environment: Whether they want a token: RAY_AUTH_MODE, which Ray reads when a process loads it.
        n_nodes: How many nodes.
        cpus_each: The processors that each says it has.
    """
    with tempfile.TemporaryDirectory(prefix="r") as place:  # the paths of Ray's sockets must be short
        port = _free_port()
        address = f"127.0.0.1:{port}"
        head = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={place}/n"]
        nodes: list[subprocess.Popen[str]] = []
        try:
            for options in [head, *[[f"--address={address}"]] * (n_nodes - 1)]:
                nodes.append(_node(options, cpus_each, environment))
            yield address
        finally:
            for node in reversed(nodes):
                node.terminate()
            for node in nodes:
                node.communicate(timeout=_LONGEST_S)


def _node(options: list[str], cpus: int, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a node and wait until it says that it runs."""
    program = str(Path(sys.executable).with_name("ray"))
    line = [program, "start", *options, f"--num-cpus={cpus}", "--object-store-memory=100000000"]
    line += ["--node-ip-address=127.0.0.1", "--disable-usage-stats", "--block"]
    env = {**os.environ, **environment}
    node = subprocess.Popen(line, stdout=-1, stderr=subprocess.STDOUT, text=True, env=env)
    assert node.stdout is not None
    said = []
    for sentence in node.stdout:
        said.append(sentence)
        if "Ray runtime started" in sentence:
            return node
    raise RuntimeError("".join(said))
