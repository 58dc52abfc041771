"""Real proxies with the very files of docs/deploy: only addresses, ports and paths are replaced."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from .. import threaded_tls

DEPLOY = Path(__file__).parents[3] / "docs/deploy"
#: A hang guard, nothing else.
PATIENCE_S = 120.0


@dataclass(frozen=True)
class Front:
    """Where the proxies of this process listen, on an address that no other process takes.

    Loopback is a /8, so a proxy can be told free ports without somebody else taking them.
    """

    address: str
    http: int
    https: int
    passthrough: int

    @property
    def plain(self) -> str:
        return f"ws://{self.address}:{self.http}/"

    @property
    def secure(self) -> str:
        return f"wss://{self.address}:{self.https}/"

    @property
    def through(self) -> str:
        return f"wss://{self.address}:{self.passthrough}/"


@pytest.fixture(scope="session")
def front() -> Front:
    """Made by each process that runs tests: forks of one that has it would share it."""
    address = f"127.77.{os.getpid() >> 8 & 0xFF}.{os.getpid() & 0xFF or 1}"
    with ExitStack() as sockets:
        bound = [sockets.enter_context(socket.socket()) for _ in range(3)]
        for sock in bound:
            sock.bind((address, 0))
        return Front(address, *(sock.getsockname()[1] for sock in bound))


def program(name: str, package: str) -> str:
    """Where a Debian program is; where it is missing, the test is skipped, but fails in CI."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        missing = f"needs Debian's package: apt-get install --no-install-recommends {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def replaced(text: str, replacements: dict[str, str]) -> str:
    """The text with each of these replaced, all of which have to be there."""
    for old, new in replacements.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def until(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{look.__qualname__}: nothing after {PATIENCE_S} s")


@dataclass(frozen=True)
class Pem:
    """A certificate for this proxy's address, as files, and a client's trust in it."""

    folder: Path
    authority: trustme.CA

    @property
    def certificate(self) -> Path:
        return self.folder / "echo-trio.pem"

    @property
    def key(self) -> Path:
        return self.folder / "echo-trio.key"

    def client_context(self) -> ssl.SSLContext:
        return threaded_tls.client_context(self.authority)


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory, front: Front) -> Pem:
    files = Pem(tmp_path_factory.mktemp("pem"), trustme.CA())
    issued = files.authority.issue_cert(front.address, "127.0.0.1")
    issued.private_key_pem.write_to_path(str(files.key))
    # HAProxy wants the key in the same file; nginx finds the certificate in it all the same.
    issued.private_key_and_cert_chain_pem.write_to_path(str(files.certificate))
    return files


@pytest.fixture
def run_proxy(tmp_path: Path, front: Front) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a proxy in the foreground, wait until it listens; it is ended by its own pid."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> subprocess.Popen[bytes]:
        log = tmp_path / "proxy.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        processes.append(process)

        def listens() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                for port in (front.http, front.https):
                    socket.create_connection((front.address, port), timeout=5).close()
            except ConnectionRefusedError:
                return False
            return True

        until(listens)
        return process

    yield start
    for process in processes:
        process.terminate()
        process.wait(PATIENCE_S)


@pytest.fixture
def start_nginx(
    run_proxy: Callable[..., subprocess.Popen[bytes]], pem: Pem, front: Front, tmp_path: Path
) -> Callable[[str], None]:
    """nginx in front of a server, given its URL."""
    nginx = program("nginx", "nginx-light")

    def start(url: str) -> None:
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        elsewhere = "".join(f"{kind}_temp_path {tmp_path / kind};" for kind in kinds)
        text = replaced(
            (DEPLOY / "nginx.conf").read_text(),
            {
                "worker_processes auto": "worker_processes 1",
                "worker_rlimit_nofile 65536": "worker_rlimit_nofile 1024",
                "worker_connections 32768": "worker_connections 512",
                "\nhttp {": "\nhttp {" + elsewhere,
                "listen 80;": f"listen {front.address}:{front.http};",
                "listen 443 ssl;": f"listen {front.address}:{front.https} ssl;",
                "/etc/nginx": str(pem.folder),
                "server 127.0.0.1:8765": f"server {urlsplit(url).netloc}",
            },
        )
        config = tmp_path / "nginx.conf"
        config.write_text(text)
        directives = f"daemon off; pid {tmp_path / 'nginx.pid'};"
        run_proxy(
            *(nginx, "-p", str(tmp_path), "-c", str(config), "-e", "stderr", "-g", directives)
        )

    return start


@pytest.fixture
def start_haproxy(
    run_proxy: Callable[..., subprocess.Popen[bytes]], pem: Pem, front: Front, tmp_path: Path
) -> Callable[..., None]:
    """HAProxy in front of instances `a`, `b` and `c`, each given as (URL, console's URL)."""
    haproxy = program("haproxy", "haproxy")

    def start(more: dict[str, str] | None = None, **instances: tuple[str, str]) -> None:
        def placed(line: str) -> str:
            """A server's line with where it is; none if it isn't."""
            word, name, address = [*line.split(), "", "", ""][:3]
            if word != "server":
                return line
            if name not in instances:
                return ""
            url, console = map(urlsplit, instances[name])
            return replaced(line, {address: url.netloc, "port 8766": f"port {console.port}"})

        text = replaced(
            (DEPLOY / "haproxy.cfg").read_text(),
            {
                "maxconn 50000": "maxconn 500",
                "bind :80\n": f"bind {front.address}:{front.http}\n",
                "bind :443 ": f"bind {front.address}:{front.https} ",
                "bind :8443\n": f"bind {front.address}:{front.passthrough}\n",
                "/etc/haproxy": str(pem.folder),
                "inter 1s": "inter 100ms",
                # Who answers late has not gone: this machine may be busy.
                "    timeout connect 5s\n": "    timeout connect 5s\n    timeout check 60s\n",
            }
            | (more or {}),
        )
        if os.getuid() != 0:
            text = replaced(text, {"    user haproxy\n": "", "    group haproxy\n": ""})
        lines = [placed(line) for line in text.splitlines()]
        config = tmp_path / "haproxy.cfg"
        config.write_text("\n".join(lines) + "\n")
        run_proxy(haproxy, "-db", "-f", str(config))

    return start
