"""``python -I -m dsassist``: the way editors start the command, safe from a workspace's own modules."""

import sys


def _main() -> None:
    if sys.argv[1:] == ["lsp"]:
        # An editor waits: the server alone, without the command line's own modules.
        from dsassist.server.start import serve

        serve()
        return
    from dsassist.cli import main

    main()


if __name__ == "__main__":
    _main()
