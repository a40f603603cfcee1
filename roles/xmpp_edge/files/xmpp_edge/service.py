# Copyright (c) 2026, xmpp.federation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, reload, drain, stop: the one place that wires the rest."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import traceback
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

from . import __version__, config, protection
from .config import Snapshot
from .current import Bounds, Current, Timing
from .diagnose import Diagnosis
from .net.contexts import CertificateError
from .net.dial import Dialer
from .net.incoming import Incoming, Incomings
from .net.listener import Listener, ListenError
from .net.outgoing import Outgoing
from .net.tasks import watched
from .net.verify import Verifiers
from .observe import notify
from .observe.audit import Audit
from .observe.control import Control
from .protection import Protection
from .records.errors import RecordError
from .relay import Relay
from .release import GENERATION, RELEASE
from .stream.settings import Settings

_LONGEST_TEST = 300.0
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Service:
    """The running edge. ``port`` takes the place of the recorded one (0: the kernel chooses)."""

    def __init__(
        self,
        config_dir: Path,
        run_dir: Path,
        *,
        port: int | None = None,
        timing: Timing | None = None,
        bounds: Bounds | None = None,
        out: TextIO | None = None,
    ) -> None:
        self.config_dir = config_dir
        self._port = port
        snapshot = config.load(config_dir)
        self.audit = Audit(out)
        self.current = Current(
            snapshot, self.audit, settings_of(snapshot), timing=timing or Timing(), bounds=bounds or Bounds()
        )
        # A certificate that is of no use must not keep the partners away that need none.
        self._protect(protection.load(snapshot))
        self.dialer = Dialer(self.current)
        self.verifiers = Verifiers(self.current, self.dialer)
        self.relay = Relay(self.current, self.dialer)
        self.incomings = Incomings(
            self.current,
            self.verifiers,
            self.relay.from_partner,
            self.relay.routes.heard_from,
            self.relay.links.handing_on,
            self.relay.routes,
        )
        self.listener = Listener(self.incomings.accept)
        self.direct_listener = Listener(self.incomings.accept_direct, "direct_tls_port")
        self.dialer.ports = lambda: {
            port for listener in (self.listener, self.direct_listener) for _unused, port in listener.addresses
        }
        self.control = Control(run_dir, self.command)
        self.stopped = asyncio.Event()
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._last_reload_error: str | None = None
        self._forgetting: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Everything up; partners are let in once the inside links have had their first chance."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._unexpected)
        await self.control.start()
        try:
            self.relay.links.apply()
            await self.relay.links.attempted(self.current.timing.first_links)
            await self._listen(self.current.snapshot, self.protection)
        except BaseException:
            await self.control.stop()
            raise
        self._background(self._watchdog())
        self._background(self._remind())
        self._background(self._rejudge())
        snapshot = self.current.snapshot
        self.audit.event(
            "started",
            version=__version__,
            records_hash=snapshot.digest,
            federation=snapshot.federation,
            partners=len(snapshot.partners),
            listen=[f"{host} {port}" for host, port in self.listener.addresses],
            direct_tls=[f"{host} {port}" for host, port in self.direct_listener.addresses],
            certificates=self.current.tls.describe(),
        )
        notify.notify("READY=1")

    def handle_signals(self) -> None:
        """SIGHUP reloads, SIGTERM and SIGINT stop."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: self._background(self.reload()))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: self._background(self.stop()))

    async def reload(self) -> dict[str, Any]:
        """Put the records on disk in force, or keep the old ones and say why."""
        async with self._changing:
            if self.current.draining:
                return {"error": "The service is stopping."}
            notify.reloading()
            try:
                return await self._reload()
            finally:
                notify.notify("READY=1")

    async def stop(self) -> None:
        """Drain and end; called twice it ends once."""
        if self.current.draining:
            await self.stopped.wait()
            return
        self.current.draining = True
        notify.notify("STOPPING=1")
        try:
            async with self._changing:
                await self._drain()
        finally:
            self.audit.event("stopped", counters=dict(self.audit.counters))
            self.stopped.set()

    async def finish(self) -> None:
        """After ``stopped``: let answers under way go out, then let go of what is left."""
        me = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not me]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        await asyncio.to_thread(self.audit.close)

    async def command(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request from the control socket."""
        match request["command"]:
            case "status":
                return self.status()
            case "streams":
                return {"streams": self.streams()}
            case "reload":
                return await self.reload()
            case "drain":
                await self.stop()
                return {"drained": True}
            case "test":
                return await self._test(request)
        return {"error": "Unknown command."}

    def status(self) -> dict[str, Any]:
        """What is in force and how it is."""
        snapshot = self.current.snapshot
        return {
            "version": __version__,
            "release": RELEASE,
            "generation": GENERATION,
            "pid": os.getpid(),
            "records_hash": snapshot.digest,
            "federation": snapshot.federation,
            "draining": self.current.draining,
            "domains": sorted(snapshot.domains),
            "listening": [
                {"address": host, "port": port, "direct_tls": direct}
                for direct, listener in ((False, self.listener), (True, self.direct_listener))
                for host, port in listener.addresses
            ],
            "certificates": self.current.tls.describe(),
            "warnings": list(protection.warnings(snapshot, self.protection)),
            "inside": self.relay.links.describe(),
            "partners": self._partners(),
            "unauthenticated": len(self.incomings.strangers),
            "resolver_error": self.dialer.resolver.last_error,
            "reload_error": self._last_reload_error,
            "counters": dict(sorted(self.audit.counters.items())),
        }

    def streams(self) -> list[dict[str, Any]]:
        """Every stream, in and out."""
        incoming = [entry.describe() for entry in [*self.incomings.known, *self.incomings.strangers]]
        return incoming + self.relay.routes.describe()

    # inside

    async def _drain(self) -> None:
        """Both sides are served to the last: the links go when nobody is left who could send to them."""
        self.listener.close()
        self.direct_listener.close()
        if self._forgetting is not None:
            self._forgetting.cancel()
        await self.relay.routes.drain(self.current.timing.drain)
        self.verifiers.close()
        await self.incomings.close("system-shutdown", "This edge is shutting down.", self.current.timing.linger)
        await self.relay.links.close(None, "")
        await self.control.stop()

    async def _reload(self) -> dict[str, Any]:
        try:
            new = await asyncio.to_thread(config.load, self.config_dir)
            fresh = await asyncio.to_thread(protection.load_whole, new)
            await self._listen(new, fresh)
        except (RecordError, ListenError, CertificateError, OSError) as problem:
            self._last_reload_error = str(problem)
            self.audit.event("reload_refused", text=str(problem), records_hash=self.current.snapshot.digest)
            return {"error": f"The old configuration stays in force. {problem}"}
        self._last_reload_error = None
        old = self.current.snapshot
        change = config.difference(old, new)
        # What waits for a partner that goes is given back while its sender is still ours and its link is there.
        self.relay.routes.apply(change)
        self.current.snapshot = new
        self.current.settings = settings_of(new)
        rotated = [one.fingerprint for one in self.current.tls.certificates] != [
            one.fingerprint for one in fresh.tls.certificates
        ]
        self._protect(fresh)
        if change.dialback_secret:
            self._keep_for_a_while(old.dialback_secret)
        if change.resolvers:
            self.dialer.resolver = self.dialer.new_resolver()
        self.verifiers.apply(change)
        self.incomings.apply(change)
        if change.gone_partners:
            await self.relay.routes.gone(change.gone_partners)
        self.relay.links.apply()
        await self._judge_again()
        self.audit.event("reloaded", records_hash=new.digest, touched=sorted(change.remote_domains)[:100])
        if rotated:
            self.audit.event("certificates", certificates=self.current.tls.describe())
        self._warn()
        return {"reloaded": True, "records_hash": new.digest, "changed": old.digest != new.digest}

    async def _listen(self, snapshot: Snapshot, protection: Protection) -> None:
        before = self.listener.addresses
        await self.listener.bind(snapshot.listen, snapshot.listen_port if self._port is None else self._port)
        direct = snapshot.direct_tls_port if protection.tls.has_certificate() else None
        try:
            if direct is None:
                self.direct_listener.close()
            else:
                await self.direct_listener.bind(snapshot.listen, direct if self._port is None else self._port)
        except ListenError:
            if before:
                old = self.current.snapshot
                await self.listener.bind(old.listen, old.listen_port if self._port is None else self._port)
            raise

    def _protect(self, fresh: Protection) -> None:
        """Streams that are open keep what they began with; what is judged from now on, is judged anew."""
        self.protection = fresh
        self.current.tls = fresh.tls
        self.current.judge = fresh.judge

    def _keep_for_a_while(self, secret: str) -> None:
        """Keys made with this secret may be on their way to us still."""
        self.current.previous_secret = secret
        if self._forgetting is not None:
            self._forgetting.cancel()
        loop = asyncio.get_running_loop()
        self._forgetting = loop.call_later(self.current.timing.previous_secret, self._forget_secret)

    def _forget_secret(self) -> None:
        self.current.previous_secret = self._forgetting = None
        self.incomings.renew_credentials()

    def _warn(self) -> None:
        for text in protection.warnings(self.current.snapshot, self.protection):
            self.audit.event("warning", text=text)

    async def _remind(self) -> None:
        while True:
            self._warn()
            await asyncio.sleep(self.current.timing.reminder)

    async def _rejudge(self) -> None:
        while True:
            await asyncio.sleep(self.current.timing.rejudge)
            await self._judge_again()

    async def _judge_again(self) -> None:
        """Close what would not be let in any more. A verdict takes a while, so others have their turn in between."""
        streams: list[Incoming | Outgoing] = [*self.incomings.known, *self.relay.routes.streams()]
        for stream in streams:
            stream.judge_again()
            await asyncio.sleep(0)

    async def _test(self, request: dict[str, Any]) -> dict[str, Any]:
        domain, seconds = request.get("domain"), request.get("timeout", 30)
        if not isinstance(domain, str) or not isinstance(seconds, int | float) or not 0 < seconds <= _LONGEST_TEST:
            return {"error": f"A test needs a domain, and a time-out of at most {_LONGEST_TEST:g} seconds."}
        diagnosis = Diagnosis(self.current, self.dialer, self.relay, self.incomings, self.listener, domain)
        return await diagnosis.run(float(seconds))

    def _partners(self) -> list[dict[str, Any]]:
        """How each partner is doing; one pass over all streams, however many partners there are."""
        incoming = Counter(self.incomings.known.values())
        outgoing = Counter(route.pair.remote for route in self.relay.routes.established())
        errors = self.relay.routes.last_errors
        entries = []
        for partner in self.current.snapshot.partners:
            ins, outs = incoming[partner.domain], sum(outgoing[domain] for domain in partner.domains)
            error = next((errors[domain] for domain in partner.domains if domain in errors), None)
            state = "up" if ins or outs else "down" if error else "idle"
            entries.append(
                {
                    "domain": partner.domain,
                    "streams_in": ins,
                    "streams_out": outs,
                    "state": state,
                    "last_error": error,
                }
            )
        return entries

    async def _watchdog(self) -> None:
        interval = notify.watchdog_interval()
        while interval is not None:
            notify.notify("WATCHDOG=1")
            await asyncio.sleep(interval)

    def _background(self, work: Any) -> None:
        task = watched(work, lambda: None)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _unexpected(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A fault of ours, or of the system (such as no file descriptor left): told, and the service goes on."""
        problem = context.get("exception")
        if isinstance(problem, OSError) and problem.errno in _SHORTAGES:
            self.audit.counters["out_of_resources"] += 1
            self.audit.stranger(
                "out_of_resources", text=f"{problem.strerror}; raise the limit of open files (LimitNOFILE)."
            )
            return
        where = traceback.format_exception(problem)[-3:] if problem is not None else []
        self.audit.counters["internal_errors"] += 1
        self.audit.stranger("internal_error", text=context.get("message"), where="".join(where))


def settings_of(snapshot: Snapshot) -> Settings:
    """The timers of the records as the stream machines want them."""
    limits = snapshot.limits
    return Settings(
        keepalive_interval=limits.keepalive_interval,
        stream_establishment_timeout=limits.stream_establishment_timeout,
        stream_inactivity_timeout=limits.stream_inactivity_timeout,
    )
