"""Records that MLflow has of finished cells, for a sweep whose storage was lost."""

import json
from collections.abc import Iterable

from orchestrator.run_record import RunRecord
from orchestrator.storage.runs import RECORD
from orchestrator.tracking.client import PatientClient, with_tags
from orchestrator.tracking.tags import FINGERPRINT, KIND

__all__ = ["finished_records"]


def finished_records(
    client: PatientClient, experiment: str, fingerprints: Iterable[str]
) -> dict[str, RunRecord]:
    """Read the records of finished cells, by fingerprint.

    Runs of any sweep of the experiment count, the latest first; those without a readable `run.json`
    do not.
    """
    experiment_id = client.experiment_named(experiment)
    wanted = set(fingerprints)
    records: dict[str, RunRecord] = {}
    if experiment_id is None or not wanted:
        return records

    condition = f"attributes.status = 'FINISHED' and {with_tags({KIND: 'cell'})}"
    for run in client.search(experiment_id, condition, "attributes.start_time DESC"):
        fingerprint = run.data.tags[FINGERPRINT]
        if fingerprint in wanted and fingerprint not in records:
            record = _record(client, run.info.run_id)
            if record is not None:
                records[fingerprint] = record
    return records


def _record(client: PatientClient, run_id: str) -> RunRecord | None:
    data = client.read_file(run_id, RECORD)
    try:
        return RunRecord.read(json.loads(data)) if data else None
    except ValueError:
        return None
