"""From a line of the shell to an exit code."""

from __future__ import annotations

import io
import sys

from cyclopts import CycloptsError

from voxid.cli.apps import app
from voxid.cli.output import complain, mute, say
from voxid.errors import VoxidError


def main(arguments: list[str] | None = None) -> int:
    """Run a sub-command: 0 = done, 2 = the user's mistake (one line on stderr), 1 = our mistake, 130 = interrupted."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a letter that the terminal lacks is no reason to stop
    try:
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        say("")
    except VoxidError as error:
        return complain(f"{error.code}: {error}")
    except CycloptsError as error:
        return complain(f"E_USAGE: {' '.join(str(error).split())} See: voxid --help")
    except BrokenPipeError:
        mute()
        return 0
    except OSError as error:  # what no part of the house foresaw, but the machine's own and so in one line all the same
        mute()
        return complain(f"E_SYSTEM: {error}")
    except KeyboardInterrupt:
        print("voxid: interrupted", file=sys.stderr)
        return 130
    return 0
