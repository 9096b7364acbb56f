"""Kernel confinement through ctypes, with the standard library alone.

It runs in two places: in the launcher, under our interpreter, and inside the project's own interpreter, so it
imports nothing of ours and keeps to Python 3.10. Every function returns whether the system took the restriction.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from typing import Any

__all__ = [
    "deny_new_processes",
    "die_with_parent",
    "no_new_privileges",
    "read_only_except",
    "restrict_writes",
    "unshare",
]

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = (
    0x20000,
    0x8000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = -100, 0x8000, 1
_SYS_LANDLOCK, _SYS_MOUNT_SETATTR = 444, 442
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 1, 38, 22

# Landlock's write rights by the ABI that brought them: write, remove dir and file, make
# char/dir/reg/sock/fifo/block/sym; refer; truncate
_WRITES = {1: sum(1 << bit for bit in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12)), 2: 1 << 13, 3: 1 << 14}
_FILE_WRITES = 1 << 1 | 1 << 14

_ARCHITECTURES = {
    # audit architecture, numbers of socket, clone, fork, vfork
    "x86_64": (0xC000003E, 41, 56, 57, 58),
    "aarch64": (0xC00000B7, 198, 220, None, None),
}
_SYS_CLONE3, _CLONE_THREAD = 435, 0x10000
_EPERM, _EACCES, _ENOSYS = 1, 13, 38


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent() -> bool:
    """Ask the kernel to kill this process when its parent ends."""
    libc = _libc()
    return libc is not None and libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0) == 0


def no_new_privileges() -> bool:
    """Set-user-id programs give nothing from here on; needed by Landlock and seccomp."""
    libc = _libc()
    return libc is not None and libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0


def unshare(flags: int) -> bool:
    """Enter new namespaces; with a user namespace the caller keeps its own user and group numbers."""
    libc = _libc()
    if libc is None:
        return False
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(flags) != 0:
        return False
    if flags & CLONE_NEWUSER:
        try:
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"{uid} {uid} 1")
            _write("/proc/self/gid_map", f"{gid} {gid} 1")
        except OSError:
            return False
    return True


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def read_only_except(writable: list[str]) -> bool:
    """In a mount namespace of our own: every mount becomes read-only, but for the folders ``writable``."""
    libc = _libc()
    if libc is None or libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None) != 0:
        return False
    for folder in writable:
        name = os.fsencode(folder)
        if libc.mount(name, name, None, _MS_BIND | _MS_REC, None) != 0:
            return False

    def set_read_only(folder: bytes, on: bool) -> bool:
        attributes = struct.pack("QQQQ", *((_MOUNT_ATTR_RDONLY, 0) if on else (0, _MOUNT_ATTR_RDONLY)), 0, 0)
        return bool(
            libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, folder, _AT_RECURSIVE, attributes, len(attributes)) == 0
        )

    return set_read_only(b"/", True) and all(set_read_only(os.fsencode(folder), False) for folder in writable)


def restrict_writes(writable: list[str]) -> int:
    """Landlock: from here on this process and its children write beneath ``writable`` only. The ABI in force, 0
    without Landlock."""
    libc = _libc()
    if libc is None:
        return 0
    abi = libc.syscall(_SYS_LANDLOCK, None, 0, 1)
    if abi < 1:
        return 0
    handled = sum(rights for since, rights in _WRITES.items() if since <= abi)
    scoped = 3 if abi >= 6 else 0  # abstract Unix sockets and signals stay inside
    attributes = struct.pack("QQQ", handled, 0, scoped)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = libc.syscall(_SYS_LANDLOCK, attributes, size, 0)
    if ruleset < 0:
        return 0
    try:
        for path in [*writable, "/dev/null", "/dev/tty"]:
            try:
                descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue
            rights = handled if os.path.isdir(path) else handled & _FILE_WRITES  # noqa: PTH112 - no pathlib: runs before imports
            libc.syscall(_SYS_LANDLOCK + 1, ruleset, 1, struct.pack("=Qi", rights, descriptor), 0)
            os.close(descriptor)
        if not no_new_privileges() or libc.syscall(_SYS_LANDLOCK + 2, ruleset, 0) != 0:
            return 0
    finally:
        os.close(ruleset)
    return int(abi)


def deny_new_processes(*, sockets: bool = False) -> bool:
    """Seccomp: no fork from here on (threads go on working), and with ``sockets`` no socket either."""
    libc = _libc()
    known = _ARCHITECTURES.get(platform.machine())
    if libc is None or known is None or struct.calcsize("P") != 8:
        return False
    architecture, socket_call, clone, fork, vfork = known
    load, jump_equal, jump_set, answer = 0x20, 0x15, 0x45, 0x06
    allow, deny = 0x7FFF0000, 0x00050000
    program: list[tuple[int, int, int, int]] = [
        (load, 0, 0, 4),
        (jump_equal, 1, 0, architecture),
        (answer, 0, 0, allow),  # a foreign architecture's numbers mean something else
        (load, 0, 0, 0),
    ]

    def refuse(number: int | None, error: int) -> None:
        if number is not None:
            program.extend([(jump_equal, 0, 1, number), (answer, 0, 0, deny | error)])

    refuse(fork, _EPERM)
    refuse(vfork, _EPERM)
    refuse(_SYS_CLONE3, _ENOSYS)  # its flags are behind a pointer; the C library falls back to clone
    if sockets:
        refuse(socket_call, _EACCES)
    program.extend(
        [
            (jump_equal, 0, 3, clone),
            (load, 0, 0, 16),
            (jump_set, 1, 0, _CLONE_THREAD),
            (answer, 0, 0, deny | _EPERM),
            (answer, 0, 0, allow),
        ]
    )
    code = b"".join(struct.pack("HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    return no_new_privileges() and bool(libc.prctl(_PR_SET_SECCOMP, 2, header, 0, 0) == 0)
