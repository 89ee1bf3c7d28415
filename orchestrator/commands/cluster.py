"""What `simclr-orch cluster` does: run the launcher, show a cluster and its Ray Jobs."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestrator.cluster.job_log import LogReader
from orchestrator.cluster.job_server import JobServer, RayJob, reached
from orchestrator.cluster.launcher import (
    cluster_problems,
    forwarded,
    launcher_command,
    launcher_environment,
    own_machine_problems,
    read_cluster,
)
from orchestrator.commands.consoles import print_line
from orchestrator.commands.result import Finished
from orchestrator.errors import ClusterError, PlanError

__all__ = [
    "launched",
    "list_jobs",
    "read_status",
    "show_dashboard",
    "show_log",
    "show_status",
    "stop_job",
]

STOP_PATIENCE = 90.0  # seconds; Ray kills a job a minute after it was asked to end
USED = re.compile(r"([\d.]+)/([\d.]+) (\S+)")


def show_status(cluster: str, console: Console) -> Finished:
    """Show nodes, resources, what waits for them, and the Ray Jobs that have not ended."""
    with reached(cluster) as server:
        nodes, status, jobs = server.nodes(), read_status(server.status_text()), server.jobs()

    running = [job for job in jobs if not job.has_ended]
    table = Table("node", "", "has", box=None)
    for node in nodes:
        table.add_row(node["address"], "head" if node["head"] else "", _amounts(node["resources"]))
    console.print(table)
    for name, (used, total) in status["resources"].items():
        console.print(f"in use: {used:g} of {total:g} {name}", highlight=False)
    for title, lines in (
        ("waits for", status["demand"]),
        ("starting", status["starting"]),
        ("failed", status["failed"]),
    ):
        for line in lines:
            print_line(console, f"{title}: {line}")
    console.print(f"jobs: {len(running)} running", highlight=False)
    _print_jobs(running, console)

    resources = {
        name: {"used": used, "total": total} for name, (used, total) in status["resources"].items()
    }
    document = {
        "nodes": nodes,
        **status,
        "resources": resources,
        "jobs": [asdict(job) for job in running],
    }
    return Finished(0, document)


def list_jobs(cluster: str, console: Console) -> Finished:
    """Show every Ray Job that the cluster remembers."""
    with reached(cluster) as server:
        jobs = server.jobs()
    if not jobs:
        console.print(f"no jobs on {cluster}", highlight=False, soft_wrap=True)
    _print_jobs(jobs, console)
    return Finished(0, {"jobs": [asdict(job) for job in jobs]})


def show_log(name: str, cluster: str, console: Console, *, follow: bool) -> Finished:
    """Show what a Ray Job has said, and, with `follow`, says until it ends or Ctrl-C."""
    reader = LogReader(
        lambda text: console.print(text, end="", highlight=False, markup=False, soft_wrap=True)
    )

    with reached(cluster) as server:
        if follow:
            try:
                job = server.follow(server.job(name).name, reader.feed)
            except KeyboardInterrupt:
                job = server.job(name)
        else:
            job = server.job(name)
            reader.feed(server.log(name))

    reader.close()
    return Finished(0, {"job": asdict(job)})


def stop_job(name: str, cluster: str, console: Console) -> Finished:
    """Ask a Ray Job to end as Ctrl-C would, and wait. Raises ClusterError if it goes on."""
    with reached(cluster) as server:
        job = server.job(name)
        if not job.has_ended:
            server.stop(name)
            job = _ended(server, name)

    console.print(f"{name}: {job.status}", highlight=False)
    if not job.has_ended:
        raise ClusterError(f"{name}: still runs {STOP_PATIENCE:.0f} s after it was asked to end")
    return Finished(0, {"job": asdict(job)})


def read_status(text: str) -> dict[str, Any]:
    """Read what `ray status` says: resources as name -> (used, total), and lines about the rest.

    The rest is what waits for resources, and nodes that start or failed to. The server has it in no
    other form under the second autoscaler, which the launcher starts.
    """
    resources = {}
    for line in _section(text, "Total Usage:"):
        if found := USED.match(line):
            resources[found[3]] = (float(found[1]), float(found[2]))
    return {
        "resources": resources,
        "demand": _section(text, "Pending Demands:"),
        "starting": _section(text, "Pending:"),
        "failed": _section(text, "Recent failures:"),
    }


def _section(text: str, title: str) -> list[str]:
    """Return the indented lines below a title.

    Those in brackets say that there are none, and are left out.
    """
    lines, found = [line.rstrip() for line in text.splitlines()], list[str]()
    if title in lines:
        for line in lines[lines.index(title) + 1 :]:
            if not line.startswith(" "):
                break
            found.append(line.strip())
    return [line for line in found if not line.startswith("(")]


def _ended(server: JobServer, name: str) -> RayJob:
    """Return a Ray Job once it has ended, or as it is when patience ends."""
    deadline = time.monotonic() + STOP_PATIENCE
    while not (job := server.job(name)).has_ended and time.monotonic() < deadline:
        time.sleep(0.5)
    return job


def _amounts(resources: Mapping[str, float]) -> str:
    """Return what people count of a node, as text: CPUs, GPUs and what a cluster file names.

    Memory and Ray's own marks are not among it.
    """
    hidden = ("memory", "object_store_memory")
    named = {
        name: amount for name, amount in resources.items() if ":" not in name and name not in hidden
    }
    return (
        ", ".join(f"{amount:g} {name}" for name, amount in sorted(named.items()))
        or "nothing for cells"
    )


def _print_jobs(jobs: list[RayJob], console: Console) -> None:
    """Print two lines for each: commands are long, and are there to be copied."""
    for job in jobs:
        times = f"since {job.started}" if job.ended is None else f"{job.started} to {job.ended}"
        console.print(f"{job.name}  {job.status}  {times}", highlight=False, soft_wrap=True)
        print_line(console, f"    {job.command}")


def launched(verb: str, file: Path, *options: str) -> Finished:
    """Run the launcher at this terminal; exit code 1 when it failed.

    Raises PlanError with every problem of the file.
    """
    config = read_cluster(file)
    if problems := cluster_problems(config, is_up=verb != "up") + own_machine_problems(
        verb, config
    ):
        raise PlanError([f"{file}: {problem}" for problem in problems])

    environment = os.environ | launcher_environment(config)
    code = subprocess.run(
        launcher_command(verb, file, *options), env=environment, check=False
    ).returncode
    if code and verb != "attach":
        print(
            f"ray {verb} ended with {code}; continue with: simclr-orch cluster {verb} {file}",
            file=sys.stderr,
        )
    return Finished(1 if code else 0, {"file": str(file), "exit_code": code})


def show_dashboard(file: Path, port: int, console: Console) -> Finished:
    """Print an address of this machine for the head's pages, and hold it until interrupted."""
    with forwarded(file, port) as (address, process):
        console.print(f"Ray: {address}  (Ctrl-C ends it)", highlight=False, soft_wrap=True)
        try:
            code = process.wait()
        except KeyboardInterrupt:
            code = 0
    return Finished(1 if code else 0, {"address": address})
