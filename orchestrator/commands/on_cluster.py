"""What `--on` does: a command becomes a Ray Job that is followed, and that goes on when nobody
follows it.

A job's name is a digest of the command and a number. While a job of the command runs, the same
command follows that one; once it has ended, the next number runs what is missing, which the storage
knows.
"""

import hashlib
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.cluster.job_log import LogReader, document_lines
from orchestrator.cluster.job_server import Job, JobServer, reached
from orchestrator.cluster.ray_internals import JOB_STOP_WAIT
from orchestrator.commands.request import Problems, Request, command_line
from orchestrator.commands.result import Finished
from orchestrator.errors import ClusterError
from orchestrator.provenance import JOB, OUR_PACKAGES, ROOT, SHIPPED_COMMIT, git_commit
from orchestrator.settings import Settings, read_settings
from orchestrator.storage import Storage, without_password
from workloads.catalog import every_workload

__all__ = ["Submission", "print_to_log", "remote_arguments", "run_on"]

PREFIX = "simclr-orch"
CODE = ("ship", "image")
# Options that say where and how, which a job is told otherwise, with the number of values that
# follow each.
REPLACED = {
    "--on": 1,
    "--code": 1,
    "--address": 1,
    "--storage": 1,
    "--tracking-uri": 1,
    "--config": 1,
    "--json": 0,
}
# seconds between asking a job to end and killing it; Ray's own are 3, too few to stop trials and
# say so
STOP_WAIT = 60


@dataclass(frozen=True)
class Submission:
    """A command as a job. `typed` is for people, without passwords; `settings` hold for the
    cluster.
    """

    typed: str
    arguments: tuple[str, ...]
    settings: Settings
    config: Path | None = None
    ships_code: bool = True

    @property
    def digest(self) -> str:
        """Of all that makes it another command: not of the code, so that a running job is found
        again after an edit.
        """
        config = self.config.read_text() if self.config else None
        parts = [self.arguments, self.settings.storage, self.settings.tracking_uri, config]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]

    @property
    def entrypoint(self) -> str:
        return (
            f"exec python -m orchestrator.cli.in_job {shlex.quote(self.typed)} "
            f"{shlex.join(self.arguments)}"
        )

    @property
    def environment(self) -> dict[str, str]:
        """Not arguments, which everybody sees who may list jobs: the addresses may hold
        passwords.
        """
        flags = {
            "STORAGE": self.settings.storage,
            "TRACKING_URI": self.settings.tracking_uri,
            "ADDRESS": "auto",
        }
        settings = {f"SIMCLR_ORCH_{name}": value for name, value in flags.items() if value}
        if self.ships_code and (commit := git_commit()):
            settings[SHIPPED_COMMIT] = commit
        return settings | {JOB_STOP_WAIT: str(STOP_WAIT)}

    @contextmanager
    def folder(self) -> Iterator[Path | None]:
        """What travels to the cluster: our packages, if they do, and the file of `--config`;
        nothing else of this machine.
        """
        with tempfile.TemporaryDirectory(prefix="simclr-orch-job-") as made:
            if self.ships_code:
                for package in OUR_PACKAGES:
                    shutil.copytree(
                        ROOT / package,
                        Path(made, package),
                        ignore=shutil.ignore_patterns("__pycache__"),
                    )
            if self.config:
                Path(made, "config").mkdir()
                shutil.copy(self.config, Path(made, "config", self.config.name))
            yield Path(made) if self.ships_code or self.config else None


def remote_arguments(arguments: Sequence[str], config: Path | None) -> tuple[str, ...]:
    """A command's arguments as a job runs them: the same, without the options that are told
    otherwise.
    """
    kept, rest = list[str](), list(arguments)
    while rest:
        argument = rest.pop(0)
        name, equals, _ = argument.partition("=")
        if argument == "--":
            kept += [argument, *rest]
            break
        if name in REPLACED:
            del rest[: 0 if equals else REPLACED[name]]
        else:
            kept.append(argument)
    command, *options = kept
    return (command, "--json", *(["--config", f"config/{config.name}"] if config else []), *options)


def run_on(place: str, code: str, request: Request, arguments: Sequence[str]) -> Finished:
    """Run a command on a cluster, by its file or its job server's address, and follow it on stderr.

    The exit code and the document are the job's. Whoever stops following (Ctrl-C) leaves the job
    running. Raises one PlanError with every problem of the request.
    """
    typed = without_password(command_line(list(arguments)))
    problems = Problems(_own_problems(code, request))
    settings = (
        problems.attempt(lambda: read_settings(request.flags, os.environ, Path.cwd())) or Settings()
    )
    with ExitStack() as stack:
        server = problems.attempt(lambda: stack.enter_context(reached(place)))
        if server is not None:
            problems.found += _placing_problems(settings, place, here=server.is_on_this_machine())
        problems.refuse()
        assert server is not None, "whoever did not answer was refused"
        settings = Settings(storage=_absolute(settings.storage), tracking_uri=settings.tracking_uri)
        remote = remote_arguments(arguments, request.config)
        submission = Submission(typed, remote, settings, request.config, ships_code=code == "ship")
        job = None
        try:
            job, how = _running_or_submitted(server, submission)
            _say(how)
            return _followed(server, job, typed)
        except (KeyboardInterrupt, ClusterError) as why:
            if job is None:
                raise
            on = shlex.quote(place)
            _say(f"{str(why) or 'left'}; {job} goes on. Follow it again with: {typed}")
            _say(
                f"its log: {PREFIX} cluster logs {job} --on {on}; end it with: {PREFIX} cluster "
                f"stop {job} --on {on}"
            )
            return Finished(1, {"job": job, "status": "RUNNING", "command": typed})


def print_to_log(document: object) -> None:
    """Print a document as a Ray Job does, for whoever follows its log."""
    print("\n".join(document_lines(document)), flush=True)


def _running_or_submitted(server: JobServer, submission: Submission) -> tuple[str, str]:
    """The name of the command's job that runs, or of a new one, and which of the two it is, for
    people.
    """
    own = f"{PREFIX}-{submission.digest}-"
    # somebody else may submit the same command between the question and the answer
    for _ in range(3):
        before = [
            job
            for job in server.jobs()
            if job.name.startswith(own) and job.name.removeprefix(own).isdigit()
        ]
        if running := [job for job in before if not job.has_ended]:
            return running[-1].name, (
                f"{running[-1].name} runs this command on {server.place} already; following it"
            )
        name = f"{own}{max((int(job.name.removeprefix(own)) for job in before), default=0) + 1}"
        with submission.folder() as folder:
            entrypoint, environment = submission.entrypoint, submission.environment | {JOB: name}
            metadata = {"command": submission.typed}
            taken = server.submit(
                name, entrypoint, folder=folder, environment=environment, metadata=metadata
            )
        if taken:
            return name, f"{name} on {server.place}: submitted; Ctrl-C leaves it running"
    raise ClusterError(f"{server.place}: {own}*: others submit this command at the same time")


def _followed(server: JobServer, name: str, typed: str) -> Finished:
    """How the job ended, with its document if it has one."""
    log = LogReader(lambda text: print(text, end="", file=sys.stderr, flush=True))
    job = server.follow(name, log.feed)
    log.close()
    code = _exit_code(job)
    if code == 1:
        _say(f"{name} {_ending(job)}; continue with: {typed}")
    ended = {"job": name, "status": job.status, "exit_code": job.exit_code, "command": typed}
    return Finished(code, log.document if log.document is not None else ended)


def _exit_code(job: Job) -> int:
    """The command's own, 0 to 2; 1 for every other ending."""
    if job.status == "SUCCEEDED":
        return 0
    return 2 if job.exit_code == 2 else 1


def _ending(job: Job) -> str:
    match job.exit_code:
        case None if job.status == "STOPPED":
            return "was stopped"
        case None:
            return f"did not start or was lost ({' '.join(job.message.split())[-300:]})"
        case 127:
            return "failed: there is no `python` on the PATH of the head's Ray"
        case code if code < 0:
            return f"was killed by signal {-code}"
        case _:
            return "failed"


def _own_problems(code: str, request: Request) -> list[str]:
    """What is wrong with a command for a cluster, whichever it is."""
    problems = []
    if request.flags.get("address"):
        problems.append("--on and --address: exclude each other")
    if code not in CODE:
        problems.append(f"--code {code}: no such choice; known are {', '.join(CODE)}")
    if request.config is not None and not request.config.is_file():
        problems.append(f"--config {request.config}: cannot be read")
    paths = {path for workload in every_workload() for path in workload.paths}
    for assignment in request.assignments:
        field, _, value = assignment.partition("=")
        if field in paths and not value.startswith(("/", "~")) and "://" not in value:
            problems.append(
                f"--set {assignment}: is relative to this folder; give the path that it has on "
                "the cluster"
            )
    return problems


def _placing_problems(settings: Settings, place: str, *, here: bool) -> list[str]:
    """Places of this machine that a cluster elsewhere does not see. A `file://` address is meant: a
    shared disk's mount.
    """
    problems, on = [], f"and {place} is a cluster elsewhere; give"
    storage, tracking = settings.storage, settings.tracking_uri
    if not here and "://" not in storage:
        problems.append(
            f"--storage {storage}: is a folder of this machine, {on} s3://..., gs://... or "
            "file:///SHARED/FOLDER"
        )
    if not here and tracking and tracking.startswith("sqlite:"):
        problems.append(
            f"--tracking-uri {tracking}: is a file of this machine, {on} a server: http://..."
        )
    if tracking is None and not Storage(storage).is_local:
        problems.append(
            "--tracking-uri: is needed, for MLflow cannot keep its database in "
            f"{without_password(storage)}"
        )
    return problems


def _absolute(storage: str) -> str:
    return storage if "://" in storage else Storage(storage).uri


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
