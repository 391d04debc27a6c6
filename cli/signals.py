"""Signals during a run: stop and leave a resumable file, checkpoint, or quit at once."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from types import FrameType, TracebackType

from simcore.api import Control

SHOW_CURSOR = "\x1b[?25h"


def ignore_checkpoint_requests() -> None:
    """Ignore SIGUSR1 until there is a run to be written: by default it would end the process."""
    if threading.current_thread() is threading.main_thread():
        # A handler and not SIG_IGN, which other programs started from here would inherit.
        signal.signal(signal.SIGUSR1, lambda *_: None)


class Signals:
    """Context manager that turns signals into requests of a `Control`.

    SIGINT, SIGTERM and SIGHUP ask the run to stop, and a second SIGINT ends the process at once;
    SIGUSR1 asks for a checkpoint. A SIGHUP that is ignored (nohup) stays so. Outside the main
    thread, where Python allows no handlers, it does nothing.

    Parameters
    ----------
    control
        The requests.
    quiet
        Whether to print nothing.
    """

    def __init__(self, control: Control, *, quiet: bool = False) -> None:
        self._control = control
        self._quiet = quiet
        self._previous: dict[int, object] = {}
        self.received: signal.Signals | None = None

    @property
    def exit_code(self) -> int:
        """Exit code of a stopped run, as a shell has it: 130, 143 or 129."""
        return 128 + (self.received or signal.SIGINT)

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number, handler in (
                (signal.SIGINT, self._interrupt),
                (signal.SIGTERM, self._terminate),
                (signal.SIGHUP, self._terminate),
                (signal.SIGUSR1, self._checkpoint),
            ):
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, handler)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        del frame
        # The default action needs no Python to run, so a second Ctrl-C works inside any kernel.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        self._say("SIGINT: writing what is done; Ctrl-C quits at once")
        self._request_stop(number)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.received is None:
            self._say(f"{signal.Signals(number).name}: writing what is done")
        self._request_stop(number)

    def _request_stop(self, number: int) -> None:
        self.received = self.received or signal.Signals(number)
        self._control.stop.set()

    def _checkpoint(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._control.checkpoint.set()

    def _say(self, text: str) -> None:
        """Write a line past Python's buffers, which a handler may have interrupted."""
        if self._quiet:
            return
        before = f"{SHOW_CURSOR}\n" if os.isatty(2) else ""
        with suppress(OSError):
            os.write(2, f"{before}{text}\n".encode())
