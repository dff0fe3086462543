"""``python -m gnnrec.cli``."""

from gnnrec.cli import app

if __name__ == "__main__":
    app(prog_name="gnnrec")
