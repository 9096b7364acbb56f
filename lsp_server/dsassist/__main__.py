"""``python -I -m dsassist``: the way editors start the command, safe from a workspace's own modules."""

import gc
import sys


def _main() -> None:
    if sys.argv[1:] == ["lsp"]:
        # An editor waits: the server alone, without the command line's own modules, and with no garbage to look for
        # among the thousands of classes that the protocol has.
        gc.disable()
        from dsassist.server.main import run

        gc.enable()
        gc.freeze()
        run()
        return
    from dsassist.cli import main

    main()


if __name__ == "__main__":
    _main()
