"""Publishing over HTTP side by side: signed events, keep-alive, nobody who listens.

    ./dev bench http [--clients 16] [--seconds 3] [--rounds 5]

Compares ``websockets_serve`` with soketi, which npm installs on the first run. soketi closes
each connection after its answer, and the load connects again, as any client would; a second
soketi is kept from doing so. Needs two cores: the server has one, the load the other. Judge by
the ratios of one run: a shared machine's absolute numbers wander. Linux only.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.run import CONTENDERS, Contender, cpu_seconds, free_port, pinned, running

LOAD = str(Path(__file__).with_name("http_load.py"))
SOKETI = Path(__file__).with_name("soketi")
OURS = "broadcasting on uvicorn"
THEIRS = "soketi 1.6.1"


def soketi(**more: str) -> Contender:
    """Return how to start it; ``more`` goes into its environment. Raises SystemExit."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise SystemExit("soketi needs node and npm")
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if not 16 <= int(said[1:].partition(".")[0]) <= 20:
        raise SystemExit(f"soketi needs node 16 to 20, this one is {said.strip()}")
    if not (SOKETI / "node_modules").is_dir():
        quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock")
        subprocess.run([npm, "install", *quiet], cwd=SOKETI, check=True, stdout=subprocess.DEVNULL)
    options = {
        "HOST": "127.0.0.1",
        "METRICS_HOST": "127.0.0.1",
        "METRICS_SERVER_PORT": str(free_port()),
        # It looks for other nodes whatever its adapter is; not beyond this machine.
        "CLUSTER_HOST": "127.0.0.1",
        "CLUSTER_PORT": str(free_port()),
        "CLUSTER_UNICAST_ADDRESSES": "127.0.0.1",
        "DEFAULT_APP_ID": "app",
        "DEFAULT_APP_KEY": "app-key",
        "DEFAULT_APP_SECRET": "app-secret",
    }
    script = 'SOKETI_PORT="$0" exec node "$1"/start.js start --config="$1"/config.json'
    return Contender(
        command=("sh", "-c", script),
        env={f"SOKETI_{name}": value for name, value in options.items()} | more,
        arguments=(str(SOKETI),),
    )


def measure(contender: Contender, clients: int, seconds: float) -> dict[str, float]:
    """Return one round's numbers."""
    port = free_port()
    with running(contender, port) as server:
        command = pinned(1, (sys.executable, LOAD, str(port), str(clients), str(seconds)))
        subprocess.run((*command, "--quiet"), check=True)  # warm, and with all there is to load
        before = cpu_seconds(server.pid)
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        spent = cpu_seconds(server.pid) - before
    result: dict[str, float] = json.loads(done.stdout)
    return {**result, "cpu_us": spent * 1e6 / (result["requests_s"] * seconds)}


def main(arguments: list[str]) -> None:
    """Run the rounds A B A B ..., so that ratios hold while the machine's speed drifts."""
    parser = argparse.ArgumentParser(prog="./dev bench http", description=__doc__)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    contenders = {OURS: CONTENDERS[OURS]}
    try:
        contenders[THEIRS] = soketi()
        contenders[f"{THEIRS}, kept alive"] = soketi(KEEP_ALIVE="1")
    except SystemExit as missing:
        print(f"Without {THEIRS}: {missing}", file=sys.stderr)
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for _ in range(options.rounds):
        for name, contender in contenders.items():
            rounds[name].append(measure(contender, options.clients, options.seconds))
    heads = list(rounds[OURS][0])
    print(f"{'server':28}" + "".join(f"{head:>15}" for head in heads))
    for name, results in rounds.items():
        row = [statistics.median(each[head] for each in results) for head in heads]
        print(f"{name:28}" + "".join(f"{value:15.1f}" for value in row))
    for name in [name for name in rounds if name != OURS]:
        pairs = list(zip(rounds[OURS], rounds[name], strict=True))
        ratio = statistics.median(o["requests_s"] / t["requests_s"] for o, t in pairs)
        work = statistics.median(t["cpu_us"] / o["cpu_us"] for o, t in pairs)
        print(
            f"{ratio:.2f} times as many requests a second as {name}, and {work:.2f} times as many"
            " for the same processor time"
        )
