"""Health, readiness, metrics and retraining."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from fastapi.responses import PlainTextResponse

import gnnrec
from gnnrec.service.api.schemas import Health, JobOutput, Ready, RetrainInput
from gnnrec.service.context import ContextNow, Database
from gnnrec.service.problems import answer, responses

router = APIRouter(tags=["operations"])


@router.get("/health", response_model=Health)
async def health() -> Any:
    """Report that the process is alive."""
    return Health(status="ok", version=gnnrec.__version__)


@router.get("/ready", response_model=Ready, responses=responses(503))
def ready(context: ContextNow) -> Any:
    """Report whether the model is loaded and the database responds."""
    if not context.store.ping():
        return answer(503, "the database does not answer")
    served = context.holder.served
    return Ready(status="ready", model=served.model.name, num_movies=served.num_movies, loaded_at=served.loaded_at)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(context: ContextNow) -> Response:
    """Return the metrics of this process for Prometheus."""
    return PlainTextResponse(context.metrics.text(context.holder.served.loaded_at))


@router.post("/retrain", response_model=JobOutput, status_code=202, responses=responses(409))
def retrain(context: ContextNow, given: RetrainInput | None = None) -> Any:
    """Train the model again in the background, on the ratings of its run. The current model is used until then.

    Ratings of profiles from an earlier training are left out, unless `profiles` includes the present ones.
    """
    given = given or RetrainInput()
    return JobOutput(**vars(context.jobs.retrain(given.epochs, given.seed, given.profiles)))


@router.get("/retrain/{job_id}", response_model=JobOutput, responses=responses(404))
def job(job_id: Annotated[int, Path(ge=1, le=2**31 - 1)], store: Database) -> Any:
    """Return the progress of a job."""
    return JobOutput(**vars(store.job(job_id)))
