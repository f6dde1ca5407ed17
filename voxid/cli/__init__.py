"""The shell: one sub-command a verb. Options, types and help come out of the signatures; each verb imports what it needs when it
runs, so that ``voxid --help`` answers at once."""

from voxid.cli import backends, calibrate, clean, evaluate, models, plot, prepare, verbs  # noqa: F401 - they register their sub-commands
from voxid.cli.apps import app
from voxid.cli.entry import main
from voxid.cli.output import keep_memory

__all__ = ["app", "keep_memory", "main"]
