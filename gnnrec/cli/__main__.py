"""``python -m gnnrec.cli``."""

from gnnrec.cli import app

app(prog_name="gnnrec")
