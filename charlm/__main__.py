"""`python -m charlm` and the console script."""

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback of an import; main() listens itself

from charlm.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
