"""Whose prompt is read next."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from dsassist_model.engine.scheduler import Limits, Scheduler


def test_no_stream_of_short_prompts_keeps_a_long_one_waiting() -> None:
    def reading(number: int, left: int) -> Any:
        handle = SimpleNamespace(number=number)
        request = SimpleNamespace(priority="interactive")
        return SimpleNamespace(handle=handle, request=request, prefilling=True, left=left)

    scheduler, long = Scheduler(Limits(chunk=128)), reading(0, 1200)
    scheduler.running = [long]
    passes = 0
    while long.left and passes < 100:
        passes += 1
        scheduler.running = [s for s in scheduler.running if s.left] + [reading(2 * passes + i, 100) for i in (0, 1)]
        plan = scheduler.plan()
        assert plan is not None
        if passes == 1:
            assert plan.prefill[0][0] is not long, "what is short and came a little later is read first"
        for s, take in plan.prefill:
            s.left -= take
    assert passes < 30
