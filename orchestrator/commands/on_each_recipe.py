"""What a request does whose questions are asked on several recipes: one after the other."""

from collections.abc import Callable
from functools import partial

from rich.console import Console

from orchestrator.commands.check import check
from orchestrator.commands.consoles import print_line
from orchestrator.commands.questions import requests_of
from orchestrator.commands.request import Problems, Request
from orchestrator.commands.result import Finished

__all__ = ["on_each_recipe"]


def on_each_recipe(request: Request, do: Callable[[Request], Finished], out: Console) -> Finished:
    """Do a request on each recipe that its questions name, and return the worst exit code.

    Raises one PlanError with the problems of all of them before the first is begun.
    """
    requests = requests_of(request)
    if len(requests) == 1:
        return do(requests[0])
    problems = Problems()
    for one in requests:
        problems.attempt(partial(check, one))
    problems.refuse()

    code, documents = 0, dict[str, object]()
    for one in requests:
        print_line(out, f"on {one.recipe}", style="bold")
        finished = do(one)
        code, documents[one.recipe] = max(code, finished.exit_code), finished.document
    return Finished(code, {"recipes": documents})
