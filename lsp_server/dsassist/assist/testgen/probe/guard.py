"""An audit hook: notes what a call reaches for, and refuses what would leave the sandbox.

Where the kernel confines the process this is the second fence and the notebook; elsewhere it is the only fence.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ["Guard"]

_PROCESSES = {
    "os.fork",
    "os.forkpty",
    "os.exec",
    "os.posix_spawn",
    "os.system",
    "os.spawn",
    "subprocess.Popen",
    "pty.spawn",
}
_NETWORK = {
    "socket.connect",
    "socket.bind",
    "socket.sendto",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.gethostbyaddr",
    "socket.getnameinfo",
}
_CHANGES = {
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.chmod",
    "os.chown",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.utime",
    "os.setxattr",
    "os.removexattr",
    "shutil.rmtree",
    "shutil.move",
}
_LOOKS = {"os.listdir", "os.scandir", "os.walk", "glob.glob"}


class Guard:
    """One a process. ``flags`` collects what the current call touched; nothing is noted or refused until ``active``."""

    def __init__(self, writable: str, readable: list[str]) -> None:
        self.writable = os.path.realpath(writable) + os.sep
        places = [
            *readable,
            writable,
            sys.prefix,
            sys.base_prefix,
            str(Path(os.__file__).parent),
            str(Path(__file__).parent),
            *(place for place in sys.path if len(Path(place).parts) > 2),  # packages may be installed by reference
            "/usr/share/zoneinfo",
            "/dev",
        ]
        self.readable = tuple(os.path.realpath(place) + os.sep for place in places)
        self.flags: set[str] = set()
        self.active = False
        self.lenient = False
        self._busy = False
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.active or self._busy:
            return
        self._busy = True
        try:
            refuse = self._judge(event, arguments)
        finally:
            self._busy = False
        if refuse is not None:
            raise refuse

    def _judge(self, event: str, arguments: tuple[object, ...]) -> OSError | None:
        if event == "open":
            path, mode, flags = (*arguments, None, None, None)[:3]
            writes = (
                any(letter in mode for letter in "wax+")
                if isinstance(mode, str)
                else bool(isinstance(flags, int) and flags & 3)
            )
            if writes:
                return self._write(path)
            if not self._inside(path, self.readable):
                self.flags.add("environment")
        elif event in _PROCESSES:
            self.flags.add("processes")
            return PermissionError(1, "the sandbox starts no processes")
        elif event in _NETWORK:
            self.flags.add("network")
            return OSError(101, "the sandbox has no network")
        elif event in _CHANGES:
            for path in (
                arguments[:2] if event in {"os.rename", "os.link", "os.symlink", "shutil.move"} else arguments[:1]
            ):
                refused = self._write(path)
                if refused is not None:
                    return refused
        elif event in _LOOKS:
            if arguments and not self._inside(arguments[0] if arguments[0] is not None else ".", self.readable):
                self.flags.add("environment")
        elif event == "os.kill" and arguments and arguments[0] != os.getpid():
            self.flags.add("processes")
            return PermissionError(1, "the sandbox signals no process")
        return None

    def _write(self, path: object) -> OSError | None:
        if self._inside(path, (self.writable, "/dev/null" + os.sep)):
            return None
        self.flags.add("writes")
        return PermissionError(13, "the sandbox writes to its scratch folder only")

    @staticmethod
    def _inside(path: object, places: tuple[str, ...]) -> bool:
        if isinstance(path, int) or path is None:
            return True
        if not isinstance(path, str | bytes | os.PathLike):
            return True
        try:
            real = os.path.realpath(os.fsdecode(path)) + os.sep
        except (ValueError, TypeError):
            return True
        return real.startswith(places)

    def watched(self, action: Callable[[], None]) -> set[str]:
        """Do ``action`` on guard and say what it touched."""
        self.flags = set()
        self.active = True
        try:
            action()
        finally:
            self.active = False
        return self.flags
