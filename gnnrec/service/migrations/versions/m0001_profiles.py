"""Profiles, ratings, bucket lists, hidden movies and jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
MOVIES = {"ratings": "rated_at", "bucket_list": "added_at", "hidden_movies": "added_at"}


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "profiles",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("name_key", sa.String(400), nullable=False),
        sa.Column("age", sa.Integer()),
        sa.Column("gender", sa.String(200)),
        sa.Column("occupation", sa.String(200)),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_profiles"),
        sa.UniqueConstraint("name_key", name="uq_profiles_name_key"),
        sqlite_autoincrement=True,
    )
    for table, time in MOVIES.items():
        stars = [sa.Column("stars", sa.Float(), nullable=False)] if table == "ratings" else []
        op.create_table(
            table,
            sa.Column("profile_id", sa.Integer(), nullable=False),
            sa.Column("movie_id", sa.String(255), nullable=False),
            sa.Column("title", sa.Text(), nullable=False),
            *stars,
            sa.Column(time, sa.BigInteger(), nullable=False),
            sa.PrimaryKeyConstraint("profile_id", "movie_id", name=f"pk_{table}"),
            sa.ForeignKeyConstraint(["profile_id"], ["profiles.id"], name=f"fk_{table}_profile_id", ondelete="CASCADE"),
        )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("heartbeat_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_jobs_state", "jobs", ["state"])


def downgrade() -> None:
    """Drop the tables."""
    for table in ("jobs", *MOVIES, "profiles"):
        op.drop_table(table)
