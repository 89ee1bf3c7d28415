"""Ray's job server by HTTP: the Ray Jobs of a cluster, their logs, and what the cluster has."""

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from orchestrator.cluster.launcher import forwarded, is_here
from orchestrator.cluster.ray_internals import CHATTY_LOGGERS
from orchestrator.errors import ClusterError, PlanError

__all__ = ["JobServer", "RayJob", "auth_headers", "reached"]

TIMEOUT = 20.0  # seconds for one answer
SILENCE = 30.0  # of a log, after which the server is asked whether it is still there
# for a server that answered before: a laptop that slept, a network that changed
LOST_PATIENCE = 120.0
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


@dataclass(frozen=True)
class RayJob:
    """A command on a cluster, as its job server describes it.

    `exit_code` is None while it runs, and when it did not end by itself. Times are ISO, UTC.
    """

    name: str
    status: str
    command: str
    started: str | None
    ended: str | None
    exit_code: int | None
    message: str

    @property
    def has_ended(self) -> bool:
        """Return whether it has, in whichever way."""
        return self.status in ENDED

    @classmethod
    def read(cls, tree: Mapping[str, Any]) -> "RayJob":
        """Read one Ray Job of a server's answer."""
        command = (tree.get("metadata") or {}).get("command") or tree["entrypoint"]
        started, ended = (_moment(tree.get(name)) for name in ("start_time", "end_time"))
        code, message = tree.get("driver_exit_code"), tree.get("message") or ""
        return cls(tree["submission_id"], tree["status"], command, started, ended, code, message)


@dataclass(frozen=True)
class JobServer:
    """The job server at `url`, of the cluster that people name as `cluster`.

    Methods raise ClusterError where it does not answer in time.
    """

    url: str
    cluster: str

    def jobs(self) -> list[RayJob]:
        """Return what was submitted, the oldest first.

        Programs that joined the cluster by themselves are not among them.
        """
        found = [tree for tree in self._ask("/api/jobs/") if tree.get("submission_id")]
        return [
            RayJob.read(tree)
            for tree in sorted(found, key=lambda tree: tree.get("start_time") or 0)
        ]

    def job(self, name: str) -> RayJob:
        """Return the Ray Job of that name. Raises PlanError when there is none."""
        return RayJob.read(self._ask(f"/api/jobs/{name}", job=name))

    def log(self, name: str) -> str:
        """Return all that a Ray Job has said so far."""
        return str(self._ask(f"/api/jobs/{name}/logs", job=name)["logs"])

    def stop(self, name: str) -> bool:
        """Ask a Ray Job to end, and return whether there was anything to end."""
        return bool(self._ask(f"/api/jobs/{name}/stop", method="POST", job=name)["stopped"])

    def nodes(self) -> list[dict[str, Any]]:
        """Return the living nodes: address, whether it is the head, what it has in all."""
        found = self._ask("/api/v0/nodes?detail=1")["data"]["result"]["result"]
        return [
            {
                "address": node["node_ip"],
                "head": node["is_head_node"],
                "resources": node["resources_total"],
            }
            for node in found
            if node["state"] == "ALIVE"
        ]

    def status_text(self) -> str:
        """Return what `ray status` prints on the head."""
        return str(self._ask("/api/cluster_status?format=1")["data"]["clusterStatus"])

    def is_on_this_machine(self) -> bool:
        """Return whether the head is: a path then means the same to both."""
        return any(node["head"] and is_here(node["address"]) for node in self.nodes())

    def submit(
        self,
        name: str,
        entrypoint: str,
        *,
        folder: Path | None,
        environment: Mapping[str, str],
        metadata: Mapping[str, str],
    ) -> bool:
        """Start a Ray Job in a copy of a folder, and return False when that name is taken.

        Raises ClusterError when it is refused.
        """
        runtime_env: dict[str, Any] = {"env_vars": dict(environment)}
        if folder is not None:
            runtime_env["working_dir"] = str(folder)

        try:
            client = _client(self.url)
            client.submit_job(
                submission_id=name,
                entrypoint=entrypoint,
                runtime_env=runtime_env,
                metadata=dict(metadata),
            )
        except (RuntimeError, ConnectionError, OSError) as error:
            if "already exists" in str(error):
                return False
            raise ClusterError(
                f"{self.cluster}: the job was not taken ({' '.join(str(error).split())[-300:]})"
            ) from error
        return True

    def follow(self, name: str, write: Callable[[str], object]) -> RayJob:
        """Hand on a Ray Job's log from its beginning until it ends, and return it as it ended.

        A connection that breaks is made again.
        Raises ClusterError when the server does not come back.
        """
        from aiohttp import ClientError

        seen, answered = 0, time.monotonic()

        def take(position: int, text: str) -> None:
            nonlocal seen, answered
            answered = time.monotonic()
            write(text[max(seen - position, 0) :])
            seen = max(seen, position + len(text))

        while True:
            try:
                asyncio.run(self._tail(name, take))
                job = self.job(name)
                if job.has_ended:
                    return job
                answered = time.monotonic()
            except (ClientError, OSError, RuntimeError, ClusterError) as error:
                if time.monotonic() - answered > LOST_PATIENCE:
                    raise ClusterError(f"{self.cluster}: no answer any more ({error})") from error
            time.sleep(1)

    async def _tail(self, name: str, take: Callable[[int, str], object]) -> None:
        """Take a log from its beginning, each piece with its position, until the server ends it."""
        pieces = _client(self.url).tail_job_logs(name)
        position = 0
        while True:
            following = asyncio.ensure_future(anext(pieces, None))
            while not (await asyncio.wait({following}, timeout=SILENCE))[0]:
                # a connection that died without a word is noticed here
                await asyncio.to_thread(self.job, name)
            if (text := following.result()) is None:
                return
            take(position, text)
            position += len(text)

    def _ask(self, path: str, *, method: str = "GET", job: str = "") -> Any:
        """Return the server's answer; `job` is the Ray Job that the question is about."""
        request = Request(self.url + path, method=method, headers=auth_headers(os.environ))
        try:
            with urlopen(request, timeout=TIMEOUT) as answer:
                return json.load(answer)
        except HTTPError as error:
            said = error.read().decode(errors="replace").strip().splitlines() or [error.reason]
            if error.code in (401, 403):
                where = "RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token"
                raise ClusterError(
                    f"{self.cluster}: refuses the token of {where} ({said[0]})"
                ) from error
            if error.code == 404 and job:
                raise PlanError(
                    [f"{job}: no such job; `simclr-orch cluster jobs {self.cluster}` lists them"]
                ) from None
            raise ClusterError(f"{self.cluster}: {said[-1]} ({error.code})") from error
        except (OSError, HTTPException, ValueError) as error:
            raise ClusterError(
                f"{self.cluster}: no job server of Ray answers there ({error})"
            ) from error


@contextmanager
def reached(cluster: str) -> Iterator[JobServer]:
    """Reach a cluster's job server, by its address or by the cluster's file, for a `with` block.

    With a file a port of the head is forwarded meanwhile.
    Raises PlanError for a file that is wrong, and ClusterError when no server answers.
    """
    if cluster.startswith(("http://", "https://")):
        server = JobServer(cluster.rstrip("/"), cluster)
        server.jobs()  # somebody answers there
        yield server
        return

    with forwarded(Path(cluster)) as (url, _):
        yield JobServer(url, cluster)


def auth_headers(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what proves who asks, from where Ray itself takes it.

    That is RAY_JOB_HEADERS, and the token unless it is turned off.
    """
    headers: dict[str, str] = json.loads(environment.get("RAY_JOB_HEADERS") or "{}")
    if environment.get("RAY_AUTH_MODE") == "disabled" or any(
        name.lower() == "authorization" for name in headers
    ):
        return headers

    file = Path(environment.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser()
    token = environment.get("RAY_AUTH_TOKEN") or (file.read_text() if file.is_file() else "")
    return headers | {"Authorization": f"Bearer {token.strip()}"} if token.strip() else headers


def _client(url: str) -> Any:
    """Return Ray's own client, for more than a question: to pack a folder, to follow a log."""
    from ray.job_submission import JobSubmissionClient

    for name in CHATTY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    return JobSubmissionClient(url, headers=auth_headers(os.environ))


def _moment(milliseconds: int | None) -> str | None:
    """Return a time since 1970 as ISO, UTC; the server says 0 for what has not happened."""
    if not milliseconds:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
