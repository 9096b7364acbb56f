"""``/metrics`` in Prometheus's text format."""

from __future__ import annotations

from dsassist_model.engine import Engine

__all__ = ["render"]


def render(engine: Engine) -> str:
    """All counters and gauges of ``engine``."""
    c = engine.counters
    running, waiting = engine.load
    rows: list[tuple[str, str, str, float]] = [
        ("requests_total", "counter", "Requests accepted", c.requests),
        ("requests_cancelled_total", "counter", "Requests whose client went away", c.cancelled),
        ("requests_refused_total", "counter", "Requests refused because too many waited", c.refused),
        ("requests_failed_total", "counter", "Requests that failed", c.failed),
        ("prompt_tokens_computed_total", "counter", "Prompt tokens computed", c.prompt_tokens_computed),
        ("prompt_tokens_cached_total", "counter", "Prompt tokens found in the KV cache", c.prompt_tokens_cached),
        (
            "prompt_tokens_reused_total",
            "counter",
            "Tokens of suffixes taken over from earlier prompts",
            c.prompt_tokens_reused,
        ),
        ("generated_tokens_total", "counter", "Tokens generated", c.generated),
        ("draft_tokens_total", "counter", "Draft tokens verified", c.drafted),
        ("draft_tokens_accepted_total", "counter", "Draft tokens accepted", c.accepted),
        ("passes_total", "counter", "Forward passes", c.passes),
        *(
            (f"{part}_seconds_total", "counter", f"Seconds that requests spent in {part}", round(seconds, 6))
            for part, seconds in c.seconds.items()
        ),
        ("requests_running", "gauge", "Requests running", running),
        ("requests_waiting", "gauge", "Requests waiting", waiting),
        ("cache_pages_used", "gauge", "KV cache pages that hold something", engine.cache.used),
        ("cache_pages_limit", "gauge", "KV cache pages that may be used", engine.cache.limit),
    ]
    lines = []
    for name, kind, text, value in rows:
        lines += [f"# HELP dsassist_{name} {text}.", f"# TYPE dsassist_{name} {kind}", f"dsassist_{name} {value:g}"]
    return "\n".join(lines) + "\n"
