"""The engine over HTTP: OpenAI's completions contract on a Unix socket or loopback TCP.

``run`` needs a model on this machine and returns when the server has left.
"""

from dsassist_model.serve.run import ServeOptions, run

__all__ = ["ServeOptions", "run"]
