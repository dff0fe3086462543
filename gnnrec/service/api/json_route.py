"""`JSONRoute`: a route for short and frequent requests, whose body is read straight into its model."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError


class JSONRoute(APIRoute):
    """A route of a function ``async (given: Model, context: ContextNow) -> Response``.

    Everything else is FastAPI's: the description of the route, and the errors, because a body that is not accepted at
    once goes the usual way. That way parses a body to Python values before it is validated, and resolves dependencies,
    which takes longer than recommending.

    Examples
    --------
    >>> from fastapi import APIRouter
    >>> from gnnrec.service.api.schemas import RecommendInput
    >>> from gnnrec.service.context import ContextNow
    >>> async def count(given: RecommendInput, context: ContextNow) -> Response:
    ...     return Response(str(len(given.users)))
    >>> router = APIRouter()
    >>> router.add_api_route("/count", count, methods=["POST"], route_class_override=JSONRoute)
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the function that answers a request."""
        usual = super().get_route_handler()
        model: type[BaseModel] = get_type_hints(self.endpoint)["given"]

        async def handle(request: Request) -> Response:
            if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                return await usual(request)
            try:
                given = model.model_validate_json(await request.body())
            except ValidationError:
                return await usual(request)  # the request keeps the body that was read
            response: Response = await self.endpoint(given=given, context=request.app.state.context)
            return response

        return handle
