"""``python -I -m dsassist``: the way editors start the command, safe from a workspace's own modules."""

from dsassist.cli import main

if __name__ == "__main__":
    main()
