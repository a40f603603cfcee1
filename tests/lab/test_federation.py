# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From blank hosts to users who write to one another, with Prosody inside. The tests follow one another."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from . import rude
from .clients import Answer, User, logged_in, message
from .control_node import ADDRESSES, EDGE, HERE, INSIDE, PARTNER, SECURE, Lab, Run
from .rude import RudePartner

INSIDE_SERVER = "prosody"
ALICE, BOB = "alice@inside.example", "bob@inside.example"
ROMEO, JULIET, MALLORY = "romeo@gmail.example", "juliet@yahoo.example", "mallory@stranger.example"
GMAIL_LIKE = {"tls": "not_supported", "sasl": "not_supported", "dialback": True, "keepalive": False}


HOMES = {"inside.example": INSIDE, "partner.example": SECURE}


@contextlib.asynccontextmanager
async def users(*addresses: str) -> AsyncIterator[list[User]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                logged_in(address, ADDRESSES[HOMES.get(address.partition("@")[2], PARTNER)])
            )
            for address in addresses
        ]


def exchange(*letters: tuple[str, str]) -> list[Answer]:
    """What becomes of a message, for each pair of sender and receiver."""

    async def write() -> list[Answer]:
        async with users(*dict.fromkeys(address for letter in letters for address in letter)) as present:
            by_address = {user.jid: user for user in present}
            return [await message(by_address[sender], by_address[receiver]) for sender, receiver in letters]

    return asyncio.run(write())


def assert_talking(*letters: tuple[str, str]) -> None:
    letters = letters or ((ALICE, ROMEO), (ROMEO, ALICE))
    answers = exchange(*letters)
    assert all(answer.arrived for answer in answers), list(zip(letters, answers, strict=True))


def assert_unchanged(run: Run) -> None:
    assert run.must_succeed().changes == [], run.output


def add_partner(variables: dict[str, Any], domain: str) -> None:
    variables["xmpp_edge_partners"].append({"domain": domain, **GMAIL_LIKE})


def remove_partner(variables: dict[str, Any], domain: str) -> None:
    variables["xmpp_edge_partners"] = [entry for entry in variables["xmpp_edge_partners"] if entry["domain"] != domain]


def main_pids(lab: Lab) -> dict[str, int]:
    return {unit: lab.main_pid(host, unit) for host, unit in ((EDGE, "xmpp-edge"), (INSIDE, "prosody"))}


def streams_of(lab: Lab, domain: str) -> list[dict[str, Any]]:
    """The open streams of a partner, without what counts up in them."""
    streams = copy.deepcopy(lab.edge_streams()["streams"])
    return sorted(
        ({key: stream[key] for key in ("direction", "address", "since", "pairs")} for stream in streams
         if any(pair["remote"] == domain for pair in stream["pairs"])),
        key=json.dumps,
    )  # fmt: skip


def test_the_edge_has_no_way_out(lab: Lab) -> None:
    assert "default" not in lab.ssh(EDGE, "ip route show table all")


@pytest.mark.foundation
def test_the_wheelhouse_is_filled_on_the_control_node(lab: Lab) -> None:
    lab.play("xmpp.federation.wheelhouse").must_succeed()
    assert (lab.inventory / "wheelhouse.tar").is_file()


@pytest.mark.foundation
def test_check_mode_does_not_fail_on_blank_hosts(lab: Lab) -> None:
    run = lab.apply("--check", "--diff")
    assert run.changes
    assert lab.ssh(EDGE, "ls -d /etc/xmpp-edge /opt/xmpp-edge /etc/systemd/system/xmpp-edge* 2>/dev/null || true") == ""


@pytest.mark.foundation
def test_one_run_makes_a_federation(lab: Lab) -> None:
    lab.apply()
    assert_talking()


def test_a_second_run_changes_nothing(lab: Lab) -> None:
    run = lab.site()
    assert_unchanged(run)
    assert_unchanged(lab.site("--check", "--diff"))


def test_the_check_says_how_the_partner_was_proven(lab: Lab) -> None:
    lab.play("xmpp.federation.verify").must_succeed()
    methods = {pair["method"] for stream in lab.edge_streams()["streams"] for pair in stream["pairs"]}
    assert methods == {"tcp_dialback"}
    (partner,) = lab.edge_status()["partners"]
    assert (partner["domain"], partner["state"], partner["last_error"]) == ("gmail.example", "up", None)


def test_strangers_are_refused(lab: Lab) -> None:
    outward, inward = exchange((ALICE, MALLORY), (MALLORY, ALICE))
    assert not outward.arrived
    assert not inward.arrived
    journal = lab.ssh(EDGE, "journalctl --unit=xmpp-edge --output=cat")
    assert '"not_a_partner"' in journal
    assert "stranger.example" in journal


def test_users_without_access_are_refused(lab: Lab) -> None:
    outward, inward = exchange((BOB, ROMEO), (ROMEO, BOB))
    assert outward.condition
    assert "access" in outward.explanation, outward
    assert inward.condition
    assert_talking()


def test_check_mode_tells_what_the_run_will_do(lab: Lab, rude_partner: RudePartner) -> None:
    def change(variables: dict[str, Any]) -> None:
        add_partner(variables, rude.DOMAIN)
        variables["xmpp_edge_partners"][0]["description"] = "Changed"
        variables["xmpp_edge_policies"].append({"name": "Nobody", "description": "Has no rights"})
        variables["xmpp_edge_stream_inactivity_timeout"] = 700

    lab.edit("federation", change)
    foreseen, done = lab.apply("--check", "--diff"), lab.apply("--diff")
    said = {(event.host, event.task): event.diff for event in foreseen.events if event.changed}
    did = {(event.host, event.task): event.diff for event in done.events if event.changed}
    # What only a handler does is not foreseen by name: a check cannot know what the service would have said.
    handlers = {key for key in did if key not in said}
    assert all(not did[key] for key in handlers), handlers
    assert {key: did.get(key) for key in said} == said
    assert_unchanged(lab.site())


@pytest.mark.parametrize("alias", ["bob", "BOB", "b\u00adob", "\uff42ob", "bo\u200bb", "Bo\u00adB"])
def test_aliases_of_a_name_are_that_name(rude_partner: RudePartner, alias: str) -> None:
    """A gate that compares letters is walked round by writing them otherwise; the servers behind it fold them."""

    async def write() -> tuple[str, list[str]]:
        async with users(ALICE, BOB) as (alice, bob):
            number = await asyncio.to_thread(rude_partner.write, f"{alias}@inside.example", "let me in")
            condition = await asyncio.to_thread(rude_partner.refusal, number)
            # What was refused is the user and not the spelling.
            arrived = alice.expect(f"hello {alias}")
            await asyncio.to_thread(rude_partner.write, "AL\u00adICE@inside.example", f"hello {alias}")
            await asyncio.wait_for(arrived, 30)
            return condition, bob.inbox

    assert asyncio.run(write()) == ("service-unavailable", [])


def test_partners_come_and_go_without_a_restart(lab: Lab) -> None:
    assert_talking()
    before, streams = main_pids(lab), streams_of(lab, "gmail.example")
    assert streams

    lab.edit("federation", lambda variables: add_partner(variables, "yahoo.example"))
    lab.apply()
    assert_talking((ALICE, JULIET), (JULIET, ALICE), (ALICE, ROMEO))
    assert main_pids(lab) == before
    assert streams_of(lab, "gmail.example") == streams

    lab.edit("federation", lambda variables: remove_partner(variables, "yahoo.example"))
    lab.apply()
    assert [answer.arrived for answer in exchange((ALICE, JULIET), (JULIET, ALICE))] == [False, False]
    assert streams_of(lab, "yahoo.example") == []
    assert_talking()
    assert main_pids(lab) == before
    assert streams_of(lab, "gmail.example") == streams
    assert_unchanged(lab.site())


def test_a_run_that_broke_off_is_healed_by_the_next(lab: Lab) -> None:
    def running_and_written() -> tuple[str, str]:
        checked = json.loads(lab.ssh(EDGE, "xmpp-edge check --json"))
        return lab.edge_status()["records_hash"], checked["records_hash"]

    pids = main_pids(lab)
    lab.edit("federation", lambda variables: variables.update(xmpp_edge_keepalive_interval=200))
    assert lab.play(HERE / "playbooks/broken.yml").rc != 0
    running, written = running_and_written()
    assert running != written

    lab.apply()
    running, written = running_and_written()
    assert running == written
    assert main_pids(lab) == pids
    assert_unchanged(lab.site())


def test_bad_input_is_refused_before_anything_is_written(lab: Lab) -> None:
    before = lab.ssh(EDGE, "sha256sum /etc/xmpp-edge/*")
    lab.edit("federation", lambda variables: add_partner(variables, "Inside.example."))
    run = lab.site()
    lab.edit("federation", lambda variables: remove_partner(variables, "Inside.example."))
    assert run.rc != 0
    assert any("inside.example" in event.msg.lower() for event in run.failures), run.output
    assert lab.ssh(EDGE, "sha256sum /etc/xmpp-edge/*") == before
    assert_talking()


def wait_until_up(lab: Lab, domain: str = "gmail.example", seconds: float = 60) -> None:
    """The service is there again, its inside links too."""
    end = time.monotonic() + seconds
    while True:
        try:
            status = lab.edge_status()
            if status["inside"] and all(link["state"] == "up" for link in status["inside"]):
                return
        except (AssertionError, OSError):
            pass  # no SSH yet, or no service yet
        assert time.monotonic() < end, "the edge did not come back"
        time.sleep(0.5)


def test_the_service_comes_back(lab: Lab) -> None:
    lab.ssh(EDGE, "systemctl restart xmpp-edge")
    wait_until_up(lab)
    assert_talking()

    pid = lab.main_pid(EDGE, "xmpp-edge")
    lab.ssh(EDGE, f"kill -KILL {pid}")
    wait_until_up(lab)
    assert lab.main_pid(EDGE, "xmpp-edge") != pid
    assert_talking()


def test_the_edge_comes_back_after_a_reboot(lab: Lab) -> None:
    boot = lab.ssh(EDGE, "cat /proc/sys/kernel/random/boot_id; systemctl show --property=UserspaceTimestampMonotonic")
    with contextlib.suppress(AssertionError):  # the connection may break before the answer
        lab.ssh(EDGE, "systemctl reboot")
    wait_until_up(lab)
    assert boot
    assert lab.ssh(EDGE, "systemctl is-system-running") == "running"
    assert_talking()
    assert_unchanged(lab.site())


def test_the_inside_server_may_restart(lab: Lab) -> None:
    lab.ssh(INSIDE, "systemctl restart prosody")
    wait_until_up(lab)
    assert_talking()


def test_the_unit_is_confined(lab: Lab) -> None:
    lab.ssh(EDGE, "systemd-analyze security --threshold=20 xmpp-edge.service >/dev/null")
    assert lab.ssh(EDGE, "systemctl show --property=User --value xmpp-edge") == "xmpp-edge"


def test_a_foreign_playbook_includes_the_roles(lab: Lab) -> None:
    """Other group names, the roles among other things: the same facts, so nothing is left to change."""
    (lab.inventory / "hosts.yml").write_text(
        json.dumps({
            "dmz": {"hosts": {EDGE: None}},
            "chat": {"hosts": {INSIDE: None}},
            "federation": {"children": {"dmz": None, "chat": None}},
        })
    )  # fmt: skip
    (lab.inventory / "group_vars/xmpp_edge.yml").rename(lab.inventory / "group_vars/dmz.yml")
    assert_unchanged(lab.play(HERE / "playbooks/foreign.yml"))
    lab.edit("federation", lambda variables: variables.update(xmpp_edge_keepalive_interval=250))
    assert lab.play(HERE / "playbooks/foreign.yml").must_succeed().changes
    assert_unchanged(lab.site("-e", "xmpp_edge_hosts=dmz", "-e", "xmpp_front_end_hosts=chat"))
    assert_talking()
