"""What `--on` does: a command becomes a Ray Job, which goes on when nobody follows it any more.

A Ray Job's name is a digest of the command and a number. While one of the command runs, the same
command follows that one; once it has ended, the next number runs what is missing, which the storage
knows.
"""

import hashlib
import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.cluster.job_log import LogReader, document_lines
from orchestrator.cluster.job_server import JobServer, RayJob, reached
from orchestrator.cluster.own_modules import pack_modules
from orchestrator.cluster.ray_internals import JOB_STOP_WAIT
from orchestrator.commands.questions import travelling
from orchestrator.commands.request import (
    BEGINS_WITH,
    Problems,
    Request,
    command_line,
    is_no_path,
    is_of_a_run,
)
from orchestrator.commands.result import Finished
from orchestrator.errors import ClusterError
from orchestrator.logs import travel_problems
from orchestrator.provenance import OUR_PACKAGES, RAY_JOB, ROOT, SHIPPED_COMMIT, git_commit
from orchestrator.scratch import scratch_folder
from orchestrator.settings import Settings, read_settings
from orchestrator.storage import Storage, without_password
from workloads.catalog import every_workload
from workloads.spelling import did_you_mean

__all__ = ["Submission", "print_to_log", "remote_arguments", "run_as_ray_job"]

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
    """A command as a Ray Job.

    `typed` is for people, without passwords; `settings` hold for the cluster. `questions` are the
    files of questions as they travel, each text by its path.
    """

    typed: str
    arguments: tuple[str, ...]
    settings: Settings
    config: Path | None = None
    ships_code: bool = True
    questions: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Return a digest of all that makes it another command.

        The code does not: a Ray Job that runs is found again after an edit.
        """
        config = self.config.read_bytes().decode("latin-1") if self.config else None
        where = [self.settings.storage, self.settings.tracking_uri]
        parts: list[object] = [self.arguments, *where, config]
        if self.questions:
            parts.append(dict(self.questions))
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]

    @property
    def entrypoint(self) -> str:
        """Return the shell command of the Ray Job."""
        return (
            f"exec python -m orchestrator.cli.in_job {shlex.quote(self.typed)} "
            f"{shlex.join(self.arguments)}"
        )

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of the Ray Job.

        The addresses are among them and not among its arguments, which everybody sees who may list
        Ray Jobs: they may hold passwords.
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
        """Make the folder that travels to the cluster, for a `with` block; None if none does.

        In it are our packages and the modules here of own parts that are named, if code travels,
        and the files of `--config` and of questions.
        """
        with scratch_folder() as made:
            if self.ships_code:
                for package in OUR_PACKAGES:
                    shutil.copytree(
                        ROOT / package,
                        made / package,
                        ignore=shutil.ignore_patterns("__pycache__"),
                    )
                pack_modules(self._texts, made)

            if self.config:
                (made / "config").mkdir()
                shutil.copy(self.config, made / "config" / self.config.name)
            for name, text in self.questions.items():
                (made / name).parent.mkdir(parents=True)
                (made / name).write_text(text)
            yield made if self.ships_code or self.config or self.questions else None

    @property
    def _texts(self) -> list[str]:
        config = [self.config.read_text()] if self.config else []
        return [*self.arguments, *config, *self.questions.values()]


def remote_arguments(
    arguments: Sequence[str], config: Path | None, travelling: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Return a command's arguments as a Ray Job runs them.

    They are the same, without the options that it is told otherwise, and with the paths that
    `travelling` says for those of files.
    """
    kept, rest = list[str](), list(arguments)
    while rest:
        argument = rest.pop(0)
        name, equals, _ = argument.partition("=")
        if argument == "--":
            kept += [argument, *((travelling or {}).get(one, one) for one in rest)]
            break
        if name in REPLACED:
            del rest[: 0 if equals else REPLACED[name]]
        else:
            kept.append((travelling or {}).get(argument, argument))

    command, *options = kept
    return (command, "--json", *(["--config", f"config/{config.name}"] if config else []), *options)


def run_as_ray_job(cluster: str, code: str, request: Request, arguments: Sequence[str]) -> Finished:
    """Run a command as a Ray Job, and follow it on stderr.

    The cluster is given by its file or its job server's address. The exit code and the document are
    the Ray Job's. Whoever stops following (Ctrl-C) leaves it running.
    Raises one PlanError with every problem of the request.
    """
    typed = without_password(command_line(list(arguments)))
    problems = Problems(_own_problems(code, request))
    questions = problems.attempt(lambda: travelling(request)) or {}
    settings = (
        problems.attempt(lambda: read_settings(request.flags, os.environ, Path.cwd())) or Settings()
    )

    with ExitStack() as stack:
        server = problems.attempt(lambda: stack.enter_context(reached(cluster)))
        if server is not None:
            problems.found += _problems_elsewhere(
                settings, cluster, here=server.is_on_this_machine()
            )
        problems.refuse()
        assert server is not None, "whoever did not answer was refused"

        settings = Settings(storage=_absolute(settings.storage), tracking_uri=settings.tracking_uri)
        paths = {name: path for name, (path, _) in questions.items()}
        submission = Submission(
            typed,
            remote_arguments(arguments, request.config, paths),
            settings,
            request.config,
            ships_code=code == "ship",
            questions=dict(questions.values()),
        )

        job = None
        try:
            job, how = _running_or_submitted(server, submission)
            _say(how)
            return _followed(server, job, typed)
        except (KeyboardInterrupt, ClusterError) as why:
            if job is None:
                raise
            on = shlex.quote(cluster)
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
    """Return the name of the command's Ray Job, and how it came to be, for people.

    It is one that runs, or else a new one.
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
                f"{running[-1].name} runs this command on {server.cluster} already; following it"
            )

        name = f"{own}{max((int(job.name.removeprefix(own)) for job in before), default=0) + 1}"
        with submission.folder() as folder:
            taken = server.submit(
                name,
                submission.entrypoint,
                folder=folder,
                environment=submission.environment | {RAY_JOB: name},
                metadata={"command": submission.typed},
            )
        if taken:
            return name, f"{name} on {server.cluster}: submitted; Ctrl-C leaves it running"
    raise ClusterError(f"{server.cluster}: {own}*: others submit this command at the same time")


def _followed(server: JobServer, name: str, typed: str) -> Finished:
    """Follow a Ray Job, and return how it ended, with its document if it has one."""
    log = LogReader(lambda text: print(text, end="", file=sys.stderr, flush=True))
    job = server.follow(name, log.feed)
    log.close()

    code = _exit_code(job)
    if code == 1:
        _say(f"{name} {_ending(job)}; continue with: {typed}")
    ended = {"job": name, "status": job.status, "exit_code": job.exit_code, "command": typed}
    return Finished(code, log.document if log.document is not None else ended)


def _exit_code(job: RayJob) -> int:
    """Return the command's own exit code, 0 to 2; 1 for every other ending."""
    if job.status == "SUCCEEDED":
        return 0
    return 2 if job.exit_code == 2 else 1


def _ending(job: RayJob) -> str:
    """Say how a Ray Job ended that has not done what it was to do."""
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
    """Return what is wrong with a command for a cluster, whichever it is."""
    problems = travel_problems(request.logs)
    if request.flags.get("address"):
        problems.append("--on and --address: exclude each other")
    if code not in CODE:
        hint = did_you_mean(code, CODE)
        problems.append(f"--code {code}: no such choice; known are {', '.join(CODE)}{hint}")
    if request.config is not None and not request.config.is_file():
        problems.append(f"--config {request.config}: cannot be read")
    paths = {path for workload in every_workload() for path in workload.paths}
    for assignment in request.assignments:
        field, _, value = (part.strip() for part in assignment.partition("="))
        if (
            field in paths
            and value not in ("", "null")
            and not value.startswith(("/", "~"))
            and not is_no_path(value)
            and not (field == BEGINS_WITH and is_of_a_run(value))
        ):
            problems.append(
                f"--set {assignment}: is relative to this folder; give the path that it has on "
                "the cluster"
            )
    return problems


def _problems_elsewhere(settings: Settings, cluster: str, *, here: bool) -> list[str]:
    """Return which addresses of this machine a cluster elsewhere does not see, a line each.

    A `file://` address is meant: a shared disk's mount.
    """
    problems, on = list[str](), f"and {cluster} is a cluster elsewhere; give"
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
    """Return a folder's full path; the Ray Job runs in another folder."""
    return storage if "://" in storage else Storage(storage).uri


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
