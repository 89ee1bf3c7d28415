"""What `pretrain`, `ablate` and `tune` do: plan, run in rounds until nothing is missing, report."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime

from rich.console import Console

from orchestrator.commands.check import Checked, check, local_shape
from orchestrator.commands.consoles import plain_console, print_line
from orchestrator.commands.cost import (
    cost_line,
    cost_of,
    few_seeds_line,
    records_for,
    why_trained_anew,
)
from orchestrator.commands.logged_encoder import logged_encoder
from orchestrator.commands.looks import keep_older_looks, look_at
from orchestrator.commands.next_round import Round, next_round
from orchestrator.commands.next_steps import after_pretrain, next_lines
from orchestrator.commands.outboxes import Outboxes
from orchestrator.commands.plan_tree import plan_tree
from orchestrator.commands.report import kept_report, report_on
from orchestrator.commands.request import Request
from orchestrator.commands.result import Finished
from orchestrator.commands.run_round import RunRound
from orchestrator.commands.search import kept_search_report, search_report
from orchestrator.commands.search_lines import step_line
from orchestrator.environment import is_debugging
from orchestrator.errors import LeaseLostError, OrchestratorError, PlanError, UnreachableError
from orchestrator.live.live_sweep import LiveSweep
from orchestrator.live.pulse import keep_end
from orchestrator.logs import Logs, Place, SweepLog, read_log
from orchestrator.plan import Plan
from orchestrator.plan.rounds import Outcome
from orchestrator.resources import ClusterShape
from orchestrator.run_record import RunRecord
from orchestrator.stages import stage
from orchestrator.storage.leases import Lease
from orchestrator.storage.progress import SweepState
from orchestrator.storage.runs import RunFolder
from orchestrator.storage.stop_requests import forget_stops
from orchestrator.storage.sweeps import keep_plan, keep_study, only_one
from orchestrator.tracking import Status, Tracker
from orchestrator.tracking.recorder import Recorder, Recorders, tags_of

__all__ = ["Sweep", "execute"]

LEFT: dict[Status, SweepState] = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "stopped"}

# the sweeps of a round, each with all that it is recorded in
Begun = list[tuple[Plan, list[SweepLog]]]


def execute(
    request: Request, out: Console, command: str, progress: Console | None = None
) -> Finished:
    """Run what is missing of a request and report on the whole of it.

    Progress is told on `progress`, which is stderr unless another one is given. In rounds: tuned
    cells run once they have chosen a candidate, undecided claims ask for more seeds. The report
    goes to `out`. Exit code 1 if not every cell has finished.
    """
    from orchestrator.cluster.connection import connected, nodes_that_miss
    from orchestrator.sweep import run
    from orchestrator.tracking import Tracker

    checked = check(request)
    stage("opening MLflow")
    storage, address = checked.storage, checked.settings.address
    tracker = Tracker.open(checked.settings.tracking_uri, storage)
    sweep = Sweep(checked, tracker, run, out, command, progress)
    if tracker.is_of_mlflows_variable:
        sweep.say(f"recorded in MLflow at {tracker.page}, which MLFLOW_TRACKING_URI names")
    if address is None and (elsewhere := os.environ.get("RAY_ADDRESS")):
        sweep.say(f"runs on a local Ray, not on RAY_ADDRESS={elsewhere}: --address names a cluster")
    sweep.say_what_is_left_out()
    if few := few_seeds_line(checked):
        sweep.say(few)

    planned = next_round(checked, local_shape(), is_placed=address is None)
    sweep.take_over_lost(planned)
    with ExitStack() as stack:
        for plan in planned.plans:
            sweep.leases.append(stack.enter_context(only_one(plan, storage)))
        # Another process may have run some of it until the lock was free.
        planned = next_round(checked, local_shape(), planned.plans, is_placed=address is None)
        if not planned.left:
            return sweep.run(planned, None)

        stage("starting Ray" if address is None else "connecting to Ray")
        shape = stack.enter_context(
            connected(address, dashboard=request.workers > 1, may_start=checked.may_start)
        )
        if len(shape.nodes) > 1 and (blind := nodes_that_miss(storage)):
            raise PlanError([f"--storage {storage.shown()}: {line}" for line in blind])
        return sweep.run(next_round(checked, shape, planned.plans), shape)


class Sweep:
    """The rounds of one request: the driver's loop, for whatever runs a round and records it."""

    def __init__(
        self,
        checked: Checked,
        tracker: Tracker,
        run: RunRound,
        out: Console,
        command: str,
        progress: Console | None = None,
    ) -> None:
        self._checked, self._tracker, self._run_round = checked, tracker, run
        self._out, self._command = out, command
        self._console = progress or plain_console(stderr=True)
        self._started = datetime.now(UTC)
        self._has_left = False
        self.leases: list[Lease] = []  # once one is lost, nothing more is done
        choices = [read_log(text) for text in checked.request.logs]
        self._logs = Logs(choices, checked.storage)
        self._outboxes = Outboxes(checked.storage, self._warn)

    def _is_lost(self) -> bool:
        return any(lease.is_lost for lease in self.leases)

    def say_what_is_left_out(self) -> None:
        """Print a line for each reason for which examples of the data are left out."""
        for line in self._checked.left_out:
            self.say(line)

    def take_over_lost(self, planned: Round) -> None:
        """Write the records into the storage that MLflow has and the storage has lost."""
        for plan in planned.plans:
            missing = plan.jobs.keys() - planned.done
            try:
                found = self._tracker.finished(plan.name, missing) if missing else {}
            except UnreachableError:
                return  # said where the sweep begins
            for fingerprint, record in found.items():
                RunFolder(self._checked.storage, fingerprint).write_record(record)

    def run(self, planned: Round, shape: ClusterShape | None) -> Finished:
        """Run round by round; without a shape there is nothing to run, only to report.

        Runs that fail are not tried again, and end no sweep: others may take their place. An
        exception that is not the user's interruption ends the sweep with exit code 1: the
        request was right, and the same command continues what has begun.
        """
        failed: dict[str, RunRecord] = {}
        for plan in planned.plans:
            forget_stops(self._checked.storage, f"{plan.name}/{plan.sweep_id}")
        while True:
            begun = self._begin(planned)
            try:
                outcome = self._run(
                    planned, Recorders([one for _, places in begun for one in places]), failed
                )
                if self._is_lost():
                    self._outboxes.abandon()
                    return self._leave_to_others()
                failed |= outcome.failed
                outcome = replace(outcome, failed=dict(failed))
                following = planned
                self._look(planned)
                if shape is not None and not outcome.missing:
                    following = next_round(self._checked, shape, planned.plans, failed)
                if following.asks == planned.asks:
                    return self._report(planned, begun, outcome)
                self._outboxes.finish("FINISHED")
                planned = following
            except KeyboardInterrupt:
                self._end_early(planned, "KILLED")
                raise
            except Exception as error:  # noqa: BLE001 - see the docstring
                self._end_early(planned, "FAILED")
                if is_debugging():
                    self._console.print_exception()
                told = str(error)
                if not isinstance(error, OrchestratorError):
                    told = f"{type(error).__name__}: {error} (--debug shows where)"
                self.say(f"{told}; continue with: {self._command}")
                return Finished(1, {"error": str(error), "command": self._command}, error)

    def _leave_to_others(self) -> Finished:
        """Say that another process has taken over; what it keeps and records is left alone."""
        error = LeaseLostError("another process has taken over, as this one gave no sign of life")
        self.say(f"{error}; continue with: {self._command}")
        return Finished(1, {"error": str(error), "command": self._command}, error)

    def _end_early(self, planned: Round, status: Status) -> None:
        """Record that it ends here, unless another process has the sweeps now."""
        if self._is_lost():
            self._outboxes.abandon()
            return
        self._outboxes.leave(status)
        self._left(planned, LEFT[status])

    def _begin(self, planned: Round) -> Begun:
        """Begin to record each sweep, and keep its plan, before anything is run."""
        begun: Begun = []
        for plan in planned.plans:
            keep_older_looks(self._checked.storage, plan)
            kept = plan_tree(self._checked, plan, self._command)
            recorder = Recorder(
                self._tracker,
                plan,
                self._checked.storage,
                tags_of(plan, kept),
                log_model=self._checked.request.log_model,
                warn=self._warn,
                encoder_of=lambda record: logged_encoder(record, self._checked.storage),
            )
            recorded_in: list[Place] = [recorder, *self._logs.of(plan)]
            begun.append((plan, self._outboxes.begin(recorded_in, plan, kept)))
            keep_plan(self._checked.storage, plan, kept)
            if plan.is_search:
                keep_study(self._checked.storage, plan)
        return begun

    def _run(
        self, planned: Round, recorders: Recorders, failed: Mapping[str, RunRecord]
    ) -> Outcome:
        """Run one round, and say before it what it will cost."""
        records: Sequence[RunRecord] = ()
        expected: dict[str, float] = {}
        if planned.left:
            records = records_for(self._checked, planned)
            cost = cost_of(self._checked, planned, records)
            if planned.plans[0].is_search:
                self.say(step_line(planned.plans[0], planned.left))
            else:
                self.say(cost_line(planned, cost))
            expected = cost.cell_seconds
            if anew := why_trained_anew(self._checked, planned, records):
                self.say(anew)
        with LiveSweep(
            self._console,
            planned.plans,
            self._checked.storage,
            command=self._command,
            concurrent=planned.concurrent,
            expected=expected,
            started=self._started,
            lost=self._is_lost,
        ) as progress:
            return self._run_round(
                planned.plans,
                self._checked.storage,
                recorders,
                progress,
                records=records,
                given_up=failed.keys(),
                concurrent=planned.concurrent,
                max_failures=self._checked.request.max_failures,
                shared_storage=self._checked.settings.address is not None,
            )

    def _look(self, planned: Round) -> None:
        """Keep that a round of `--until-decided` has looked, before the next one rests on it."""
        for plan in planned.plans if self._checked.request.max_seeds else ():
            if problem := look_at(self._checked.storage, plan):
                self.say(problem)

    def _report(self, planned: Round, begun: Begun, outcome: Outcome) -> Finished:
        """Report on every sweep, end its record, and say what is left and how to go on."""
        documents = {}
        status: Status = "FINISHED"
        if not outcome.complete:
            status = "FAILED" if outcome.failed else "KILLED"
        for plan, places in begun:
            documents[plan.name], files = self._results(plan)
            for one in places:
                one.finish(status, files)
        self._left(planned, LEFT[status])
        unrecorded = self._outboxes.hand_over(self.say)

        for record in outcome.failed.values():
            self._console.print(
                f"FAILED {record.name}: log {record.log}",
                style="red",
                highlight=False,
                soft_wrap=True,
            )
            self.say("\n".join(f"    {line}" for line in record.log_tail))
        complete = outcome.complete and not unrecorded
        if not complete:
            left = f"{len(outcome.failed)} failed, {len(outcome.missing)} not run"
            if outcome.stopped:
                left += f" ({len(outcome.stopped)} stopped on request)"
            if unrecorded:
                left += f", not all recorded in {', '.join(sorted(unrecorded))}"
            self.say(f"{left}; continue with: {self._command}")

        document = next(iter(documents.values()))
        if len(documents) > 1:
            document = {"ablations": documents}
        ended = {
            "failed": sorted(outcome.failed),
            "missing": sorted(outcome.missing),
            "stopped": sorted(outcome.stopped),
            "command": self._command,
        }
        return Finished(0 if complete else 1, document | ended)

    def _results(self, plan: Plan) -> tuple[dict[str, object], dict[str, bytes]]:
        """Print the results of a sweep or a single run; returns a document and files for MLflow."""
        storage = self._checked.storage
        if plan.ablation is not None:
            finished = report_on(plan.name, storage, self._out, sweep=plan.sweep_id, output=None)
            return finished.document, kept_report(plan, storage)
        if plan.is_search:
            finished = search_report(storage, self._out, sweep=plan.sweep_id)
            return finished.document, kept_search_report(plan, storage)
        fingerprint = plan.cells[0].fingerprint
        record = RunFolder(storage, fingerprint).record()
        if record is not None and record.has_finished:
            for name, value in record.results.items():
                self._out.print(f"{name:<24} {value:.6g}", highlight=False)
            for line in next_lines(after_pretrain(fingerprint, storage)):
                print_line(self._out, line)
        tree = None if record is None else record.tree()
        return {"run": fingerprint, "record": tree}, {}

    def _left(self, planned: Round, state: SweepState) -> None:
        """Leave word of how it ended, for those who watch; what is said first holds."""
        if self._has_left:
            return
        self._has_left = True
        for plan in planned.plans:
            keep_end(self._checked.storage, f"{plan.name}/{plan.sweep_id}", state)

    def say(self, text: str) -> None:
        """Print a line for people, beside what a document is for."""
        print_line(self._console, text)

    def _warn(self, text: str) -> None:
        self._console.print(text, style="yellow", soft_wrap=True, markup=False)
