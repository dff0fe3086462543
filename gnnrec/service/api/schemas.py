"""Request and response bodies of the API."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from gnnrec.reranking import RerankingOptions
from gnnrec.service.groups import Strategy
from gnnrec.service.names import clean_name, clean_text
from gnnrec.service.records import Entry, Profile
from gnnrec.service.tables import MAX_CATEGORY, MAX_ID, MAX_NAME

MAX_K, MAX_OFFSET, MAX_USERS, MAX_RATINGS, MAX_MOVIES = 200, 10_000, 100, 5_000, 10_000
"""Maximum numbers: length of a list, offset, users per request, ratings per user, and movies per filter."""
MAX_GROUP = 20
"""Maximum number of members of a group."""


MAX_FEATURES = 50
"""User features of a request."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME), AfterValidator(clean_name)]
Category = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CATEGORY), AfterValidator(clean_text)]
Age = Annotated[int, Field(ge=0, le=150)]
Stars = Annotated[float, Field(ge=0.5, le=5, multiple_of=0.5, description="0.5 to 5, in halves")]
Time = Annotated[int, Field(ge=0, le=253_402_300_799, description="Seconds since 1970; now by default")]
MovieKey = Annotated[
    Annotated[int, Field(strict=True, ge=-(2**63), le=2**63 - 1)]
    | Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID), AfterValidator(clean_text)],
    Field(description="Id or title of a movie"),
]
UserKey = (
    Annotated[int, Field(strict=True, ge=-(2**63), le=2**63 - 1)]
    | Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID)]
)
Anchors = Annotated[list[MovieKey], Field(max_length=50)]
Moment = Annotated[
    int,
    Field(
        ge=0,
        le=253_402_300_799,
        description="Time of the request in seconds since 1970; now by default. Later ratings are ignored",
    ),
]
ProfileId = Annotated[int, Path(ge=1, le=2**31 - 1)]
MovieId = Annotated[str, Path(min_length=1, max_length=MAX_ID)]
K = Annotated[int, Query(ge=1, le=MAX_K, description="Number of movies")]
Offset = Annotated[int, Query(ge=0, le=MAX_OFFSET, description="Number of top movies to skip, for paging")]
Years = Annotated[str, StringConstraints(max_length=20), Field(description="1995, 1990-1999, 1990- or -1950")]
Share = Annotated[float, Field(ge=0, le=1)]
Genres = Annotated[list[Category], Field(max_length=50, description="Only movies with at least one of these genres")]


class Input(BaseModel):
    """A request body; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class Movie(BaseModel):
    """A movie."""

    id: int | str
    title: str
    year: int | None
    genres: list[str]
    num_ratings: int = Field(description="In the training data")
    poster: str = Field(description="Path of its picture")


class MovieDetails(Movie):
    """A movie with all its details."""

    plot: str
    directors: list[str]
    actors: list[str]


class FoundMovie(Movie):
    """A movie that a search found; a score of 1 is the same title."""

    score: float


class SimilarMovie(Movie):
    """A movie that is similar to another one, by the cosine of their embeddings."""

    similarity: float


class Reason(BaseModel):
    """A part of a history, or the profile, that raises the score of a movie."""

    because: str
    effect: float = Field(description="By how much the score falls without it")


class Recommendation(Movie):
    """A recommended movie."""

    rank: int
    score: float
    reasons: list[Reason] = []


class RecommendationList(BaseModel):
    """The movies recommended to one user, best first."""

    user: int | str
    movies: list[Recommendation]


class RatingInput(Input):
    """A rating on the scale of the training data."""

    movie: MovieKey
    rating: float = Field(default=5, ge=-1e6, le=1e6)
    time: Time | None = None


class UserInput(Input):
    """A new user: a history and a profile, all of it optional."""

    ratings: list[RatingInput] = Field(default=[], max_length=MAX_RATINGS, description="Oldest first, or with times")
    age: Age | None = None
    gender: Category | None = None
    occupation: Category | None = None
    profile: dict[Category, float | Category] = Field(
        default={}, max_length=MAX_FEATURES, description="Values of the model's other user features by name"
    )
    name: Annotated[str, StringConstraints(max_length=MAX_NAME)] | None = None


def _kind(user: Any) -> str:
    return "user" if isinstance(user, (dict, UserInput)) else "id"


AnyUser = Annotated[Annotated[UserKey, Tag("id")] | Annotated[UserInput, Tag("user")], Discriminator(_kind)]
"""An id from the training data, or a new user."""


class Filters(Input):
    """Filters and re-ranking of recommendations."""

    k: int = Field(default=10, ge=1, le=MAX_K)
    offset: int = Field(default=0, ge=0, le=MAX_OFFSET)
    genres: Genres | None = None
    years: Years | None = None
    min_ratings: int = Field(default=0, ge=0, le=10**9)
    family_friendly: bool = False
    exclude: list[MovieKey] | None = Field(default=None, max_length=MAX_MOVIES)
    candidates: list[MovieKey] | None = Field(default=None, max_length=MAX_MOVIES)
    diversity: Share = Field(default=0, description="Preference for movies that differ from those before them")
    novelty: Share = Field(default=0, description="Preference for lesser-known movies")
    calibration: Share = Field(default=0, description="How closely the genres match those of the history")
    max_per_genre: int | None = Field(default=None, ge=1, le=MAX_K, description="Maximum number of movies per genre")
    like: Anchors | None = Field(default=None, description="Prefer movies like these, which are excluded themselves")
    unlike: Anchors | None = Field(default=None, description="Avoid movies like these, which are excluded themselves")
    at: Moment | None = None
    unknown: Literal["error", "skip"] = Field(default="error", description="What to do with unknown movies")

    def reranking(self) -> RerankingOptions:
        """Return the options that re-rank."""
        return cast("RerankingOptions", {name: getattr(self, name) for name in RerankingOptions.__annotations__})

    def filters(self) -> dict[str, Any]:
        """Return the options that exclude movies."""
        names = ("genres", "years", "min_ratings", "family_friendly", "exclude", "candidates")
        return {name: getattr(self, name) for name in names}

    def named(self) -> list[int | str]:
        """Return the movies mentioned in the options."""
        return [*(self.exclude or ()), *(self.candidates or ()), *(self.like or ()), *(self.unlike or ())]


class RecommendInput(Filters):
    """Users, and which movies may be recommended to them."""

    users: list[AnyUser] = Field(
        min_length=1, max_length=MAX_USERS, description="Ids of the training data, or new users"
    )


class ProfileRecommendInput(Filters):
    """Which movies may be recommended to a profile."""

    reasons: bool = Field(default=False, description="Include reasons")


class RecommendOutput(BaseModel):
    """A list for each user, in the order of the request."""

    lists: list[RecommendationList]


class GroupInput(Filters):
    """The members of a group, and which movies may be recommended to it."""

    users: list[AnyUser] = Field(min_length=1, max_length=MAX_GROUP)
    strategy: Strategy = Field(
        default="average",
        description="How to combine scores: mean, lowest, highest, or members take turns",
    )


class GroupRecommendation(Movie):
    """A movie for a group."""

    rank: int
    score: float
    suits: list[float] = Field(description="For each member, the share of their unrated movies that score lower")


class GroupOutput(BaseModel):
    """One list for a group, best first."""

    movies: list[GroupRecommendation]


class ExplainInput(Input):
    """A user and movies to explain."""

    user: AnyUser
    movies: list[MovieKey] = Field(min_length=1, max_length=MAX_K)
    at: Moment | None = None
    k: int = Field(default=2, ge=1, le=20, description="Maximum number of reasons per movie")


class Explanation(BaseModel):
    """Why a movie was recommended."""

    id: int | str
    title: str
    reasons: list[Reason]


class ProfileInput(Input):
    """A new profile."""

    name: Name
    age: Age | None = None
    gender: Category | None = None
    occupation: Category | None = None


class ProfileChange(Input):
    """Changes to a profile; omitted fields stay the same."""

    name: Name | None = None
    age: Age | None = None
    gender: Category | None = None
    occupation: Category | None = None


class ProfileOutput(BaseModel):
    """A profile."""

    id: int
    name: str
    age: int | None
    gender: str | None
    occupation: str | None
    created_at: int

    @classmethod
    def from_profile(cls, profile: Profile) -> ProfileOutput:
        """Return a stored profile."""
        return cls(**vars(profile))


class StarsInput(Input):
    """Stars for a movie."""

    movie: MovieKey
    stars: Stars
    time: Time | None = None


class RatingsInput(Input):
    """Ratings to store; they replace earlier ratings of the same movies."""

    ratings: list[StarsInput] = Field(min_length=1, max_length=MAX_RATINGS)


class MovieInput(Input):
    """A movie."""

    movie: MovieKey


class EntryOutput(BaseModel):
    """A movie in a history or on a list."""

    movie_id: str
    title: str
    time: int
    stars: float | None

    @classmethod
    def from_entry(cls, entry: Entry) -> EntryOutput:
        """Return a stored entry."""
        return cls(**vars(entry))


class MissingMovie(BaseModel):
    """A movie in the file that is not in the catalog."""

    title: str
    nearest: list[str] = Field(description="Titles that are near, none of which was taken")


class ImportOutput(BaseModel):
    """Result of an import."""

    source: str
    imported: int
    ambiguous: list[str]
    missing: list[MissingMovie]
    notes: list[str]


class RetrainInput(Input):
    """How to train."""

    epochs: int | None = Field(default=None, ge=1, le=10_000)
    seed: int | None = Field(default=None, ge=0, le=2**31 - 1)
    profiles: bool = Field(
        default=False, description="Train on the ratings of the profiles, too, under random ids instead of names"
    )


class JobOutput(BaseModel):
    """A background job."""

    id: int
    state: Literal["running", "done", "failed"]
    step: int
    steps: int
    message: str
    created_at: int
    finished_at: int | None


class Health(BaseModel):
    """Whether the process is alive."""

    status: Literal["ok"]
    version: str


class Ready(BaseModel):
    """Whether the model and the database are available."""

    status: Literal["ready"]
    model: str
    num_movies: int
    loaded_at: float
