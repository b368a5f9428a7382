"""Ports are checked before anything is started, and those that nobody asked for are free."""

from __future__ import annotations

import socket

import pytest

from bertriton_server import AddressUnavailableError
from bertriton_server.process import choose_ports, ipv4_address, is_free
from bertriton_server.process.ports import is_listening

HOST = "127.0.0.1"
ANY = "0.0.0.0"  # noqa: S104  # nobody is let in


def free_port() -> int:
    with socket.create_server((HOST, 0)) as opened:
        return int(opened.getsockname()[1])


def choose_on_host(requested: dict[str, int]) -> dict[str, int]:
    return choose_ports(dict.fromkeys(requested, HOST), requested)


def test_zeros_become_free_ports_that_all_differ() -> None:
    services = [f"service {number}" for number in range(50)]

    found = choose_on_host(dict.fromkeys(services, 0))

    assert list(found) == services
    assert len(set(found.values())) == 50
    assert all(is_free(HOST, port) for port in found.values())


def test_a_port_that_was_asked_for_is_given_to_no_other() -> None:
    port = free_port()

    found = choose_on_host({"first": 0, "asked": port, "last": 0})

    assert found["asked"] == port
    assert len(set(found.values())) == 3


def test_a_port_that_was_asked_for_twice_is_refused() -> None:
    port = free_port()

    with pytest.raises(AddressUnavailableError, match=f"one and other cannot both listen on {HOST}:{port}"):
        choose_on_host({"one": port, "third": 0, "other": port})


def test_every_address_of_this_machine_has_one_and_the_same_port() -> None:
    port = free_port()

    with pytest.raises(AddressUnavailableError, match=f"one and other cannot both listen on {ANY}:{port}"):
        choose_ports({"one": ANY, "other": HOST}, {"one": port, "other": port})


def test_two_addresses_may_have_the_same_port() -> None:
    port = free_port()

    found = choose_ports({"one": HOST, "other": "127.0.0.2"}, {"one": port, "other": port})

    assert found == {"one": port, "other": port}


def test_a_port_that_is_bound_and_not_listened_on_is_not_listening() -> None:
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        port = bound.getsockname()[1]
        assert not is_listening(HOST, port)

        bound.listen()
        assert is_listening(HOST, port)
        assert not is_free(HOST, port)


def test_a_port_is_free_again_once_its_connections_are_closed() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection((HOST, port))
        accepted, _ = server.accept()
        accepted.close()  # the server's side first, which then waits for stray packets
        client.close()

    assert is_free(HOST, port)


def test_a_host_has_its_ipv4_address_or_is_refused() -> None:
    assert ipv4_address("localhost") == HOST
    assert ipv4_address(HOST) == HOST
    with pytest.raises(AddressUnavailableError, match="give an IPv4 address") as caught:
        ipv4_address("::1")
    assert (caught.value.host, caught.value.port) == ("::1", 0)
