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

from . import __version__, config
from .config import Snapshot
from .current import Bounds, Current, Timing
from .diagnose import Diagnosis
from .net.dial import Dialer
from .net.incoming import Incomings
from .net.listener import Listener, ListenError
from .net.tasks import watched
from .net.verify import Verifiers
from .observe import notify
from .observe.audit import Audit
from .observe.control import Control
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
        self.dialer = Dialer(self.current)
        self.verifiers = Verifiers(self.current, self.dialer)
        self.relay = Relay(self.current, self.dialer)
        self.incomings = Incomings(self.current, self.verifiers, self.relay.from_partner, self.relay.routes.heard_from)
        self.listener = Listener(self.incomings.accept)
        self.dialer.ports = lambda: {port for _unused, port in self.listener.addresses}
        self.control = Control(run_dir, self.command)
        self.stopped = asyncio.Event()
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._last_reload_error: str | None = None

    async def start(self) -> None:
        """Everything up; partners are let in once the inside links have had their first chance."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._unexpected)
        await self.control.start()
        try:
            self.relay.links.apply()
            await self.relay.links.attempted(self.current.timing.first_links)
            await self._listen(self.current.snapshot)
        except BaseException:
            await self.control.stop()
            raise
        self._background(self._watchdog())
        snapshot = self.current.snapshot
        self.audit.event(
            "started",
            version=__version__,
            records_hash=snapshot.digest,
            federation=snapshot.federation,
            partners=len(snapshot.partners),
            listen=[f"{host} {port}" for host, port in self.listener.addresses],
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
            "listening": [{"address": host, "port": port} for host, port in self.listener.addresses],
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
        return incoming + [route.describe() for route in self.relay.routes.routes.values()]

    # inside

    async def _drain(self) -> None:
        """Both sides are served to the last: the links go when nobody is left who could send to them."""
        self.listener.close()
        await self.relay.routes.drain(self.current.timing.drain)
        self.verifiers.close()
        await self.incomings.close("system-shutdown", "This edge is shutting down.", self.current.timing.linger)
        await self.relay.links.close(None, "")
        await self.control.stop()

    async def _reload(self) -> dict[str, Any]:
        try:
            new = await asyncio.to_thread(config.load, self.config_dir)
            await self._listen(new)
        except (RecordError, ListenError, OSError) as problem:
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
        if change.resolvers:
            self.dialer.resolver = self.dialer.new_resolver()
        self.verifiers.apply(change)
        self.incomings.apply(change)
        if change.gone_partners:
            await self.relay.routes.gone(change.gone_partners)
        self.relay.links.apply()
        self.audit.event("reloaded", records_hash=new.digest, touched=sorted(change.remote_domains)[:100])
        return {"reloaded": True, "records_hash": new.digest, "changed": old.digest != new.digest}

    async def _listen(self, snapshot: Snapshot) -> None:
        await self.listener.bind(snapshot.listen, snapshot.listen_port if self._port is None else self._port)

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
