"""Confine this process, then become the command: ``python -I launch.py SPEC -- COMMAND …``.

SPEC is JSON: ``writable`` (folders), ``memory`` (bytes of address space), ``data`` (bytes written to, 0 for no limit),
``cpu_seconds``, ``file_bytes``, ``processes`` (whether the command may start any), ``report`` (a file that receives
what the system granted). What the system does not grant is left to the audit-hook shim inside the probe; the report
says so.
"""

from __future__ import annotations

import json
import os
import resource
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - before any import of ours

import confine  # type: ignore[import-not-found,unused-ignore]


def _limit(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, value))


def _isolate(writable: list[str]) -> dict[str, str]:
    """Namespaces, from the fullest to none. Ends in the process that shall run the command."""
    granted = {"network": "", "writes": "", "processes": ""}
    full = (
        confine.CLONE_NEWUSER | confine.CLONE_NEWNET | confine.CLONE_NEWPID | confine.CLONE_NEWIPC | confine.CLONE_NEWNS
    )
    if not confine.unshare(full):
        return granted
    granted["network"] = "network namespace"
    granted["processes"] = "process namespace"
    child = os.fork()
    if child:
        _follow(child)
    # From here: the first process of the namespace. When it ends the kernel kills all others.
    confine.die_with_parent()
    payload = os.fork()
    if payload:
        _follow(payload)
    if confine.read_only_except(writable):
        granted["writes"] = "read-only mounts"
    return granted


def _follow(child: int) -> None:
    """Wait for ``child``, collecting orphans meanwhile, and end as it ended."""
    while True:
        try:
            ended, status = os.wait()
        except ChildProcessError:
            os._exit(1)
        if ended == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


def main() -> None:
    """Confine and execute."""
    spec = json.loads(sys.argv[1])
    command = sys.argv[sys.argv.index("--") + 1 :]
    confine.die_with_parent()
    _limit(resource.RLIMIT_AS, spec["memory"])
    if spec.get("data"):
        _limit(resource.RLIMIT_DATA, spec["data"])
    _limit(resource.RLIMIT_CPU, spec["cpu_seconds"])
    _limit(resource.RLIMIT_FSIZE, spec["file_bytes"])
    _limit(resource.RLIMIT_CORE, 0)
    granted = _isolate(spec["writable"])
    if sys.platform == "linux" and granted["processes"]:
        _limit(resource.RLIMIT_NPROC, 256)
    if spec.get("report"):
        with open(spec["report"], "w", encoding="utf-8") as report:  # noqa: PTH123
            landlock = os.fork() if hasattr(os, "fork") else -1
            if landlock == 0:  # try it in a child: the report itself still has to be written
                os._exit(confine.restrict_writes(spec["writable"]) & 0x7F)
            status = os.waitstatus_to_exitcode(os.waitpid(landlock, 0)[1])
            if status > 0:
                granted["writes"] = ", ".join(filter(None, [granted["writes"], f"Landlock {status}"]))
            json.dump(granted, report)
    confine.restrict_writes(spec["writable"])
    if not spec["processes"]:
        confine.deny_new_processes(sockets=not granted["network"])
    os.execvpe(command[0], command, os.environ)


if __name__ == "__main__":
    main()
