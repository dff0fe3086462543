"""`python -m gnnrec.cli`: the command where it is not installed."""

from gnnrec.cli import app

if __name__ == "__main__":
    app()
