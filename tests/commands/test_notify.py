"""Milliseconds, with a server of this machine: who is told how a command ended, and who is not."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from orchestrator.commands.notify import notified
from orchestrator.commands.request import command_line, without_notify
from orchestrator.commands.result import Finished
from orchestrator.errors import PlanError

SECRET = "T000/B000/secret"


class Chat:
    """A server that keeps what is posted to it, and answers with `code`."""

    def __init__(self) -> None:
        self.code, self.posted = 200, list[dict[str, Any]]()
        chat = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/json"
                chat.posted.append(json.loads(body) | {"path": self.path})
                self.send_response(chat.code)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/{SECRET}"


@pytest.fixture
def chat() -> Iterator[Chat]:
    chat = Chat()
    thread = threading.Thread(target=chat.server.serve_forever, args=(0.02,))
    thread.start()
    yield chat
    chat.server.shutdown()
    thread.join()
    chat.server.server_close()


def finished() -> Finished:
    return Finished(0, {"record": {"results": {"linear_top1": 75.61}}, "failed": [], "missing": []})


def test_an_end_is_posted_in_the_forms_of_slack_and_discord(chat: Chat) -> None:
    assert notified(chat.url, finished, "simclr-orch pretrain", print).exit_code == 0
    (posted,) = chat.posted
    assert posted["path"] == f"/{SECRET}"
    assert posted["text"] == posted["content"]
    assert posted["text"].splitlines() == ["finished: simclr-orch pretrain", "linear_top1 75.61"]


@pytest.mark.parametrize(
    ("document", "first"),
    [
        ({"failed": ["a"], "missing": ["b", "c"]}, "failed (1 failed, 2 missing): it"),
        ({"missing": ["b"], "stopped": ["b"]}, "stopped (1 missing, 1 stopped): it"),
    ],
)
def test_what_did_not_end_well_is_posted_too(
    chat: Chat, document: dict[str, Any], first: str
) -> None:
    notified(chat.url, lambda: Finished(1, document), "it", print)
    assert chat.posted[0]["text"].splitlines()[0] == first


@pytest.mark.parametrize(
    "error", [PlanError(["no such preset"]), OSError("disk"), KeyboardInterrupt()]
)
def test_what_is_raised_is_posted_and_raised(chat: Chat, error: BaseException) -> None:
    def fail() -> Finished:
        raise error

    with pytest.raises(type(error)):
        notified(chat.url, fail, "it", print)
    assert len(chat.posted) == 1
    assert str(error) in chat.posted[0]["text"]


@pytest.mark.parametrize("code", [404, 500])
def test_a_chat_that_refuses_costs_a_line_without_the_secret(chat: Chat, code: int) -> None:
    said: list[str] = []
    chat.code = code
    assert notified(chat.url, finished, "it", said.append).exit_code == 0
    assert said == [f"--notify: 127.0.0.1 was not told: answered {code}"]


def test_a_chat_that_is_not_there_costs_a_line_without_the_secret() -> None:
    chat, said = Chat(), list[str]()
    chat.server.server_close()
    assert notified(chat.url, finished, "it", said.append).exit_code == 0
    (line,) = said
    assert line == "--notify: 127.0.0.1 was not told: ConnectionRefusedError"


@pytest.mark.parametrize("url", ["ftp://host/x", "hooks.slack.com/x", "http:///x", "http://[x/"])
def test_a_url_that_is_none_is_refused_before_anything_starts(url: str) -> None:
    def never() -> Finished:
        raise AssertionError("begun")

    with pytest.raises(PlanError) as refused:
        notified(url, never, "it", print)
    assert url not in str(refused.value)


def test_without_a_url_nothing_is_posted() -> None:
    assert notified(None, finished, "it", print).exit_code == 0


def test_a_command_that_is_kept_or_shown_has_no_secret() -> None:
    words = ["ablate", "losses", "--notify", f"https://x/{SECRET}", "--seeds", "3"]
    assert without_notify(words) == ["ablate", "losses", "--seeds", "3"]
    joined = ["ablate", f"--notify=https://x/{SECRET}", "losses"]
    assert command_line(joined) == "simclr-orch ablate losses"
