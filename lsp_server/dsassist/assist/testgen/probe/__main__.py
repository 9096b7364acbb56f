"""Reads jobs, one JSON object a line, from standard input and answers on the descriptor it was given as standard
output."""

from __future__ import annotations

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120

from _dsassist_probe.worker import Worker


def main() -> None:
    """Serve until standard input ends."""
    answers = os.dup(1)
    os.set_inheritable(answers, False)
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2) if not os.environ.get("DSASSIST_PROBE_DEBUG") else (0, 1):
        os.dup2(null, descriptor)
    worker = Worker()
    for line in requests:
        answer = worker.answer(json.loads(line))
        data = json.dumps(answer).encode() + b"\n"
        while data:
            data = data[os.write(answers, data) :]


main()
