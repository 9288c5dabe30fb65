"""What is drawn and kept beside the core: plots and reports.

These modules import the core, never the reverse; what they need beyond it (matplotlib, jinja2) is
installed with `pip install '.[plot,report]'` in charlm's folder.
"""

import importlib

from charlm.errors import CharlmError


def check_installed(module: str, extra: str) -> None:
    """Raises CharlmError, which says how to get the module, if it is not there."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise CharlmError(
            f"this needs {error.name}, which is not installed; "
            f"get it with: pip install '.[{extra}]', in charlm's folder"
        ) from None
