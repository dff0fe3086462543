"""Alembic's migrations of the service's database; `gnnrec serve` applies them when it starts."""
