"""`python -m adit_core.cli`, for where the command `adit` is not installed."""

from adit_core.cli import main

if __name__ == "__main__":
    main()
