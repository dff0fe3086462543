"""``python -m gnnrec``."""

from gnnrec.cli import app

app(prog_name="gnnrec")
