"""`python -m charlm` and the console script."""

import atexit
import os
import signal
import sys
from contextlib import suppress

if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # as it is in a script's background
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback of an import; main() listens itself

from charlm.cli import main as command_line


def main() -> None:
    """Runs the command line and ends the process at once.

    An interpreter that has torch in it takes up to a second to take itself apart.
    """
    try:
        command_line()
    except SystemExit as ended:
        atexit._run_exitfuncs()
        with suppress(OSError, ValueError):  # who closed stdout does not read it
            sys.stdout.flush()
        os._exit(ended.code if isinstance(ended.code, int) else bool(ended.code))


if __name__ == "__main__":
    main()
