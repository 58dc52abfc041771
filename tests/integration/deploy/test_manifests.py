"""The unit, the Containerfile and the manifest are checked as far as a machine without them can."""

from __future__ import annotations

import copy
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Union, get_args, get_origin, get_type_hints

import httpx
import pytest
import yaml
from lightkube.models import apps_v1, autoscaling_v2, core_v1, policy_v1
from websockets.sync.client import connect

from echo_trio import units
from echo_trio.settings import Settings

from ..conftest import ServerProcess
from .conftest import DEPLOY, PATIENCE_S, program

StartServer = Callable[..., ServerProcess]
ROOT = DEPLOY.parents[1]
NOBODY = "65534:65534"


def without_log_format(arguments: list[str]) -> list[str]:
    """The server's arguments, less those that `start_server` gives it anyway."""
    text = " ".join(arguments)
    assert re.search("--log-format[ =]json", text)
    return re.sub("--log-format[ =]json", "", text).split()


# -- systemd ----------------------------------------------------------------------------------


def unit_directives() -> dict[str, str]:
    lines = (DEPLOY / "echo-trio.service").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if re.match("[A-Z][A-Za-z]+=", line))


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    analyze = program("systemd-analyze", "systemd")
    text = (DEPLOY / "echo-trio.service").read_text()
    unit = tmp_path / "echo-trio.service"
    unit.write_text(text.replace("/opt/echo-trio/bin/python", "/bin/true"))
    checked = subprocess.run(
        [analyze, "verify", str(unit)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_unit_exposes_hardly_anything() -> None:
    analyze = program("systemd-analyze", "systemd")
    # Threshold in tenths: it fails above 2.0.
    checked = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", "--no-pager",
         str(DEPLOY / "echo-trio.service")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout[-500:]
    assert "Overall exposure level" in checked.stdout


def test_the_unit_starts_a_server_that_says_when_it_is_ready_and_when_it_stops(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directives = unit_directives()
    python, *arguments = shlex.split(directives["ExecStart"])
    assert (python, arguments[:2]) == ("/opt/echo-trio/bin/python", ["-m", "echo_trio"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        server = start_server(*without_log_format(arguments[2:]))
        assert systemd.recv(100) == b"READY=1"
        server.process.send_signal(signal.SIGTERM)
        assert systemd.recv(100) == b"STOPPING=1"
    assert server.process.wait(60) == 0
    budget_s = units.parse_duration(arguments[arguments.index("--drain-timeout") + 1])
    assert int(directives["TimeoutStopSec"]) > budget_s


# -- As both run it ---------------------------------------------------------------------------

#: A mount namespace in which nothing can be written but /tmp, and no home be seen; then nobody,
#: without a capability, a way to get one, or memory that is both written and executed.
LOCKED_UP = """
set -e
prefix=$1 packages=$2; shift 2
mount --make-rprivate /
mkdir -p "$SCRATCH/prefix" "$SCRATCH/packages"
mount --bind "$prefix" "$SCRATCH/prefix"
mount --bind "$packages" "$SCRATCH/packages"
for home in /root /home; do mount -t tmpfs -o mode=755 tmpfs "$home"; done
mkdir -p "$prefix" "$packages"
mount --bind "$SCRATCH/prefix" "$prefix"
mount --bind "$SCRATCH/packages" "$packages"
for home in /root /home; do mount -o remount,ro "$home"; done
mount -o remount,ro,bind /
mount -t tmpfs tmpfs /tmp
export HOME=/nonexistent XDG_STATE_HOME=/tmp PYTHONDONTWRITEBYTECODE=1
cd /
exec setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs --bounding-set=-all \\
  --inh-caps=-all "$@"
"""
NO_WRITABLE_CODE = (
    "import ctypes, os, sys\n"
    "PR_SET_MDWE = 65\n"
    "ctypes.CDLL(None).prctl(PR_SET_MDWE, 1, 0, 0, 0)\n"  # Before Linux 6.3 it does nothing.
    "os.execv(sys.argv[1], sys.argv[1:])"
)
WHAT_IT_HAS = (
    "import os\n"
    "status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
    "assert status['CapEff'].strip() == status['CapBnd'].strip() == '0' * 16, status\n"
    "assert status['NoNewPrivs'].strip() == '1'\n"
    "assert os.getuid() == os.geteuid() == 65534\n"
    "for folder in ('/', '/etc', '/root', '/var/tmp'):\n"
    "    try:\n"
    "        open(folder + '/mark', 'w')\n"
    "    except OSError:\n"
    "        pass\n"
    "    else:\n"
    "        raise SystemExit(folder + ' can be written')\n"
)


def locked_up(tmp_path: Path, *command: str) -> list[str]:
    """The command line that runs Python so."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to be less than that")
    unshare, _ = program("unshare", "util-linux"), program("setpriv", "util-linux")
    python = [sys.executable, "-c", NO_WRITABLE_CODE, sys.executable, *command]
    where = [sys.base_prefix, str(ROOT)]
    return [unshare, "--mount", "env", f"SCRATCH={tmp_path}", "sh", "-c", LOCKED_UP, "sh",
            *where, *python]  # fmt: skip


def test_as_nobody_on_a_read_only_system_without_a_right_it_serves_and_drains(
    tmp_path: Path,
) -> None:
    has = subprocess.run(
        locked_up(tmp_path, "-c", WHAT_IT_HAS), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (has.returncode, has.stderr) == (0, "")
    command = locked_up(
        tmp_path, "-m", "echo_trio", "--port=0", "--console-port=0", "--workers=2",
        "--log-format=json",
    )  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("ready "), process.communicate(timeout=60)
            url, console = (word.partition("=")[2] for word in line.split()[1:])
            with connect(url) as client:
                client.send("m")
                assert str(client.recv(timeout=60)).startswith("m ")
            assert httpx.get(f"{console}readyz", timeout=60).status_code == 200
            order = {"count": 3, "duration": "200ms"}
            accepted = httpx.post(f"{console}api/runs", json=order, timeout=60)
            assert accepted.status_code == 202, accepted.text
            run = f"{console}api/runs/{accepted.json()['id']}"
            while (answer := httpx.get(run, timeout=60).json()).get("verdict") is None:
                assert process.poll() is None
            assert answer["verdict"] in {"valid", "generator-limited"}, answer
            process.terminate()
            _, log = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "Traceback" not in log


# -- Container --------------------------------------------------------------------------------


def container_steps() -> list[tuple[str, str]]:
    text = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def test_hadolint_has_nothing_against_the_containerfile(tmp_path: Path) -> None:
    """Without any rule ignored; a file it has something against, to see that it looks."""
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint's wheels are for Linux on x86-64")
    bad = tmp_path / "Containerfile"
    bad.write_text("FROM debian\nRUN cd /tmp && apt-get install curl\n")
    for file, code in ((DEPLOY / "Containerfile", 0), (bad, 1)):
        command = [hadolint, "--no-color", "--failure-threshold", "style", file]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == code, done.stdout + done.stderr


def test_what_the_container_copies_is_there() -> None:
    stages: set[str] = set()
    copied = []
    for word, rest in container_steps():
        if word == "FROM":
            stages |= set(re.findall(r" AS (\S+)", rest))
        elif word == "COPY":
            *sources, _ = rest.split()
            if sources[0].startswith("--from="):
                assert sources[0].removeprefix("--from=") in stages
                continue
            copied += sources
    assert len(copied) > 5
    tracked = subprocess.run(
        ["git", "ls-files", "--error-unmatch", *copied],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    missing = [path for path in copied if not (ROOT / path).exists()]
    assert missing == []
    assert tracked.returncode == 0 or not (ROOT / ".git").exists(), tracked.stderr


def test_the_container_takes_the_page_from_where_it_is_built_and_the_wheel_takes_it_along() -> None:
    pages = [
        rest.split() for word, rest in container_steps() if word == "COPY" and "--from=page" in rest
    ]
    built = re.findall(r"'\.\./(\S+)'", (ROOT / "react-client/vite.config.ts").read_text())
    built += re.findall(r"'\.\./(\S+)'", (ROOT / "react-client/vite.report.config.ts").read_text())
    pyproject = (ROOT / "pyproject.toml").read_text()
    assert sorted(target for _, _, target in pages) == sorted(built)
    for _, source, target in pages:
        assert source == f"/src/{target}"
        assert f'"{target}"' in pyproject


def test_the_container_is_nobody_special_and_looks_after_its_health(
    start_server: StartServer,
) -> None:
    steps = container_steps()
    last = max(at for at, (word, _) in enumerate(steps) if word == "FROM")
    final = dict(steps[last:])
    assert final["USER"] == NOBODY
    assert yaml.safe_load(final["ENTRYPOINT"]) == ["/opt/echo-trio/bin/python", "-m", "echo_trio"]
    server = start_server(*without_log_format(yaml.safe_load(final["CMD"])), console=True)
    check = yaml.safe_load(final["HEALTHCHECK"].partition(" CMD ")[2])
    assert "http://127.0.0.1:8766/" in check[2]
    asking = check[2].replace("http://127.0.0.1:8766/", server.console)

    def healthy() -> bool:
        command = [sys.executable, "-c", asking]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    assert healthy()
    assert server.stop() == 0
    assert not healthy()


# -- Kubernetes -------------------------------------------------------------------------------

#: Where lightkube-models, which is made of the API's own schema, has the kinds of a version.
MODELS = {
    ("v1", "Service"): core_v1.Service,
    ("apps/v1", "Deployment"): apps_v1.Deployment,
    ("policy/v1", "PodDisruptionBudget"): policy_v1.PodDisruptionBudget,
    ("autoscaling/v2", "HorizontalPodAutoscaler"): autoscaling_v2.HorizontalPodAutoscaler,
}


def problems_of(value: Any, kind: Any, at: str) -> Iterator[str]:
    """What the schema has against a value: an unknown key, a missing one, another type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Union:
        found = [list(problems_of(value, each, at)) for each in arguments if each is not NoneType]
        yield from [] if [] in found else found[0]
    elif not isinstance(value, dict if is_dataclass(kind) else origin or kind):
        yield f"{at} is no {getattr(origin or kind, '__name__', kind)}"
    elif is_dataclass(kind):
        known, hints = {each.name: each for each in fields(kind)}, get_type_hints(kind)
        yield from (f"{at}.{key} is unknown" for key in value.keys() - known.keys())
        for key, each in known.items():
            if key in value:
                yield from problems_of(value[key], hints[key], f"{at}.{key}")
            elif each.default is each.default_factory is MISSING:
                yield f"{at}.{key} is missing"
    elif origin is not None:
        items = value.items() if origin is dict else enumerate(value)
        for key, each in items:
            yield from problems_of(each, arguments[-1], f"{at}[{key}]")


def find_problems(document: dict[str, Any]) -> list[str]:
    model = MODELS[document["apiVersion"], document["kind"]]
    return list(problems_of(document, model, document["kind"]))


def test_each_object_is_what_the_schema_of_its_version_says() -> None:
    documents = [
        document
        for file in ("kubernetes.yaml", "autoscaler.yaml")
        for document in yaml.safe_load_all((DEPLOY / file).read_text())
    ]
    assert len(documents) == 4
    assert [find_problems(document) for document in documents] == [[]] * 4
    spoilt = copy.deepcopy(documents[0])
    (container,) = spoilt["spec"]["template"]["spec"]["containers"]
    container["livenesProbe"] = container.pop("livenessProbe")
    container["ports"][0].pop("containerPort")
    spoilt["spec"]["replicas"] = "2"
    place = "Deployment.spec.template.spec.containers[0]"
    assert sorted(find_problems(spoilt)) == [
        "Deployment.spec.replicas is no int",
        f"{place}.livenesProbe is unknown",
        f"{place}.ports[0].containerPort is missing",
    ]


@pytest.fixture(scope="module")
def manifest() -> dict[str, dict[str, Any]]:
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
    return {document["kind"]: document for document in documents}


def test_the_manifests_parts_belong_together(manifest: dict[str, dict[str, Any]]) -> None:
    versions = {kind: document["apiVersion"] for kind, document in manifest.items()}
    assert versions == {
        "Deployment": "apps/v1", "Service": "v1", "PodDisruptionBudget": "policy/v1",
    }  # fmt: skip
    spec = manifest["Deployment"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    for selector in (
        spec["selector"]["matchLabels"],
        manifest["Service"]["spec"]["selector"],
        manifest["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"websocket": Settings().port, "console": Settings().console_port}
    (port,) = manifest["Service"]["spec"]["ports"]
    assert port["targetPort"] == "websocket"
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes


def test_the_autoscaler_scales_this_deployment_and_kustomize_leaves_the_number_to_it(
    manifest: dict[str, dict[str, Any]],
) -> None:
    scaler = yaml.safe_load((DEPLOY / "autoscaler.yaml").read_text())
    deployment = manifest["Deployment"]
    assert scaler["apiVersion"] == "autoscaling/v2"
    assert scaler["spec"]["scaleTargetRef"] == {
        "apiVersion": deployment["apiVersion"], "kind": "Deployment",
        "name": deployment["metadata"]["name"],
    }  # fmt: skip
    assert scaler["spec"]["minReplicas"] == deployment["spec"]["replicas"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert "cpu" in container["resources"]["requests"]  # A share of it is what is held against.
    kustomization = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())
    assert kustomization["resources"] == ["kubernetes.yaml", "autoscaler.yaml"]
    (patch,) = kustomization["patches"]
    assert yaml.safe_load(patch["patch"]) == [{"op": "remove", "path": "/spec/replicas"}]
    if kubectl := shutil.which("kubectl"):
        made = subprocess.run(
            [kubectl, "kustomize", str(DEPLOY)],
            capture_output=True, text=True, check=True, timeout=PATIENCE_S,
        ).stdout  # fmt: skip
        built = {each["kind"]: each for each in yaml.safe_load_all(made)}
        assert built.keys() == manifest.keys() | {"HorizontalPodAutoscaler"}
        assert "replicas" not in built["Deployment"]["spec"]


def test_the_pod_is_nobody_and_may_write_and_do_nothing(
    manifest: dict[str, dict[str, Any]],
) -> None:
    pod = manifest["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    user, group = map(int, NOBODY.split(":"))
    assert pod["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": user, "runAsGroup": group,
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_a_pod_has_longer_than_its_prestop_and_its_drain_together(
    manifest: dict[str, dict[str, Any]],
) -> None:
    pod = manifest["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    command, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    (drain,) = (arg for arg in container["args"] if arg.startswith("--drain-timeout="))
    needs_s = float(seconds) + units.parse_duration(drain.partition("=")[2])
    assert pod["terminationGracePeriodSeconds"] > needs_s
    probe = container["readinessProbe"]
    assert float(seconds) > probe["periodSeconds"] * probe["failureThreshold"]


def test_the_pods_arguments_start_a_server_that_answers_its_probes(
    manifest: dict[str, dict[str, Any]], start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (container,) = manifest["Deployment"]["spec"]["template"]["spec"]["containers"]
    (variable,) = container["env"]
    monkeypatch.setenv(variable["name"], "a-secret")
    server = start_server(*without_log_format(container["args"]), console=True)
    port = server.console.rpartition(":")[2].rstrip("/")

    def status(kind: str) -> int:
        # As kubelet asks: by the pod's address, without a token.
        url = f"http://127.0.0.1:{port}{container[kind]['httpGet']['path']}"
        return httpx.get(url, headers={"Host": f"10.244.0.7:{port}"}, timeout=60).status_code

    kinds = [kind for kind in container if kind.endswith("Probe")]
    assert {kind: status(kind) for kind in kinds} == dict.fromkeys(kinds, 200)
    assert server.stop() == 0
