"""Posts to a chat, or to whatever listens at a URL, how a command ended: `--notify`.

The URL of a chat is a secret: who has it can post. It is in no message, record or log.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from orchestrator.commands.result import Finished
from orchestrator.errors import OrchestratorError, PlanError
from orchestrator.report.brief import short_answer
from workloads.spec import SpecError

__all__ = ["check_url", "ended_text", "notified"]

OPTION = "--notify"
SECONDS = 5.0
LONGEST = 1900  # letters; Discord takes 2,000


def check_url(url: str) -> None:
    """Raise PlanError for what nothing can be posted to."""
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_right = False
    if not is_right:
        raise PlanError([f"{OPTION}: must be a URL that begins with https:// or http://"])


def notified(
    url: str | None, do: Callable[[], Finished], command: str, say: Callable[[str], object]
) -> Finished:
    """Do something and post how it ended: well, failed, stopped, or not at all.

    A URL that does not answer costs a line, which names its host only. Raises what `do` raises.
    """
    if url is None:
        return do()
    check_url(url)
    try:
        finished = do()
    except KeyboardInterrupt:
        _post(url, f"interrupted: {command}", say)
        raise
    except (OrchestratorError, SpecError) as error:
        _post(url, f"refused: {command}\n{error}", say)
        raise
    except Exception as error:
        _post(url, f"failed: {command}\n{type(error).__name__}: {error}", say)
        raise
    _post(url, ended_text(finished, command), say)
    return finished


def ended_text(finished: Finished, command: str) -> str:
    """Say how a command ended and what it found, in a few lines."""
    document: dict[str, Any] = dict(finished.document)
    counts = {name: len(document.get(name) or ()) for name in ("failed", "missing", "stopped")}
    state = "finished"
    if finished.exit_code:
        only_stopped = counts["missing"] and not counts["failed"]
        state = "stopped" if only_stopped else "failed"
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    lines = [f"{state}{f' ({told})' if told else ''}: {command}"]
    if error := document.get("error"):
        lines.append(str(error))
    for one in (document.get("ablations") or {"": document}).values():
        lines += _answer(one)
    return "\n".join(lines)


def _answer(document: dict[str, Any]) -> list[str]:
    """What a sweep has found, or a single run; nothing for a search."""
    if "verdicts" in document and "cells" in document:
        return short_answer(document)  # type: ignore[arg-type]
    record = document.get("record") or {}
    return [f"{name} {value:.4g}" for name, value in (record.get("results") or {}).items()]


def _post(url: str, text: str, say: Callable[[str], object]) -> None:
    """Post a text in the forms of Slack (`text`) and Discord (`content`)."""
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
    request = urllib.request.Request(
        url,
        data=json.dumps({"text": text, "content": text}).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "simclr-orch"},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):
            return
    except urllib.error.HTTPError as error:
        why = f"answered {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        why = f"{type(reason).__name__}" if not isinstance(reason, str) else reason
    say(f"{OPTION}: {urlsplit(url).hostname} was not told: {why}")
