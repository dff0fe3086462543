"""``gnnrec recommend``."""

from __future__ import annotations

from gnnrec.cli._options import CsvOption, JsonOption, KOption, OutOption, RunArgument
from gnnrec.cli._output import check_out, errors, show
from gnnrec.cli._user import AgeOption, GenderOption, OccupationOption, RatingOption, UserOption, read_user


def recommend(
    run: RunArgument,
    user: UserOption = None,
    rating: RatingOption = None,
    age: AgeOption = None,
    gender: GenderOption = None,
    occupation: OccupationOption = None,
    k: KOption = 10,
    json: JsonOption = False,
    csv: CsvOption = False,
    out: OutOption = None,
) -> None:
    """Recommend movies to a known or new user, with reasons."""
    with errors():
        from gnnrec.explanations import explain
        from gnnrec.models.estimator import load

        check_out(out)
        model = load(run)
        described = read_user(model.graph, user, rating, age, gender, occupation)
        found = model.recommend(described, k)
        reasons = explain(model, described, found["movie_id"])
        because = [list(reasons.loc[reasons["movie_id"] == movie_id, "because"]) for movie_id in found["movie_id"]]
        text = {
            "rank": found["rank"].tolist(),
            "movie": found["title"].tolist(),
            "score": [f"{score:.3f}" for score in found["score"]],
            "because of": [", ".join(one) for one in because],
        }
        show(found.assign(because=["|".join(one) for one in because]), text=text, as_json=json, as_csv=csv, out=out)
