"""Tables of the service's database. A change here needs a migration in ``migrations/versions``."""

from __future__ import annotations

from sqlalchemy import BigInteger, Float, ForeignKey, Index, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

MAX_NAME, MAX_ID, MAX_CATEGORY = 100, 255, 200
"""Maximum length of a profile name, movie id, gender or occupation."""
_OWNER = "profiles.id"


class Base(DeclarativeBase):
    """Base class of all tables; constraints are named so that migrations can change them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class ProfileRow(Base):
    """A person. `name_key` is the name without case, which is unique."""

    __tablename__ = "profiles"
    __table_args__ = ({"sqlite_autoincrement": True},)  # the id of a deleted profile is never reused

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(MAX_NAME))
    name_key: Mapped[str] = mapped_column(String(4 * MAX_NAME), unique=True)
    age: Mapped[int | None] = mapped_column(Integer)
    gender: Mapped[str | None] = mapped_column(String(MAX_CATEGORY))
    occupation: Mapped[str | None] = mapped_column(String(MAX_CATEGORY))
    created_at: Mapped[int] = mapped_column(BigInteger)


class OfProfile:
    """Columns of a movie that belongs to a profile. The title is kept for runs that no longer have the movie."""

    profile_id: Mapped[int] = mapped_column(ForeignKey(_OWNER, ondelete="CASCADE"), primary_key=True)
    movie_id: Mapped[str] = mapped_column(String(MAX_ID), primary_key=True)
    title: Mapped[str] = mapped_column(Text)


class RatingRow(OfProfile, Base):
    """Stars for a movie."""

    __tablename__ = "ratings"

    stars: Mapped[float] = mapped_column(Float)
    rated_at: Mapped[int] = mapped_column(BigInteger)


class BucketRow(OfProfile, Base):
    """A movie on the bucket list of a profile."""

    __tablename__ = "bucket_list"

    added_at: Mapped[int] = mapped_column(BigInteger)


class HiddenRow(OfProfile, Base):
    """A movie hidden from the recommendations of a profile."""

    __tablename__ = "hidden_movies"

    added_at: Mapped[int] = mapped_column(BigInteger)


class JobRow(Base):
    """A background job."""

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_state", "state"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    state: Mapped[str] = mapped_column(String(20))
    step: Mapped[int] = mapped_column(Integer, default=0)
    steps: Mapped[int] = mapped_column(Integer, default=0)
    message: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[int] = mapped_column(BigInteger)
    heartbeat_at: Mapped[int] = mapped_column(BigInteger)
    finished_at: Mapped[int | None] = mapped_column(BigInteger)
