"""Milliseconds: by which names browsers may ask for the dashboard, by MLflow's own rule."""

import socket

import pytest
from mlflow.server.security_utils import is_allowed_host_header, should_block_cors_request

from orchestrator.tracking.host_names import names_for_others, origins, own_names, with_ports


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_pages_of_this_machine_are_for_this_machine(host: str) -> None:
    allowed = with_ports(own_names(host))
    for name in ("localhost:5000", "127.0.0.1:5000", "[::1]:5000", "localhost"):
        assert is_allowed_host_header(allowed, name)
    for name in (f"{socket.gethostname()}:5000", "evil.example.org:5000", "10.0.0.7:5000"):
        assert not is_allowed_host_header(allowed, name)
    assert names_for_others(host) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_machine_that_lets_others_in_knows_its_own_names(host: str) -> None:
    own = socket.gethostname()
    allowed = with_ports(own_names(host))
    for name in (f"{own}:5059", own, f"{socket.getfqdn()}:5059", "127.0.0.1:5059", "10.0.0.7:80"):
        assert is_allowed_host_header(allowed, name)
    assert not is_allowed_host_header(allowed, "evil.example.org:5059")
    assert own in names_for_others(host)


def test_a_named_host_is_known_by_that_name() -> None:
    assert names_for_others("gpu7.lab.example.org") == ["gpu7.lab.example.org"]
    assert names_for_others("2001:db8::7") == ["[2001:db8::7]"]
    allowed = with_ports(own_names("2001:db8::7"))
    assert is_allowed_host_header(allowed, "[2001:db8::7]:5000")


def test_pages_at_these_names_may_change_something_and_others_may_not() -> None:
    allowed = origins(["gpu7", "*.lab.example.org"], 5059)
    for origin in ("http://gpu7:5059", "https://mlflow.lab.example.org", "http://localhost:3000"):
        assert not should_block_cors_request(origin, "POST", allowed)
    assert should_block_cors_request("http://evil.example.org", "POST", allowed)
