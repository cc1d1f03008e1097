"""The application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from . import (
    dataset_routes,
    duplicates_routes,
    embeddings_routes,
    export_routes,
    facet_routes,
    health_routes,
    image_routes,
    job_routes,
    layout_routes,
    model_routes,
    openapi,
    page_routes,
    problem,
    run_routes,
    search_routes,
    session_routes,
    stats_routes,
    tag_routes,
)  # fmt: skip
from .access import Access
from .keys import KeyStore
from .leaving import Leaving
from .metrics import Metrics
from .rate_limits import RateLimits
from .readiness import Readiness
from .request_guard import RequestGuard
from .request_log import RequestLog
from .security_headers import SecurityHeaders
from .state import Service

if TYPE_CHECKING:
    from ..settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """The HTTP service over the library that the settings name. Models are loaded when first needed, once."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        readiness = app.state.readiness = Readiness(service)
        readiness.begin()
        service.jobs.resume()
        yield
        readiness.end()
        service.close()

    service = Service(settings)
    app = FastAPI(**openapi.ABOUT, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.service, app.state.metrics = service, Metrics(service)
    app.state.keys, app.state.rates = KeyStore(settings.library.expanduser()), RateLimits(service.options.rate_per_minute)
    problem.install(app)
    openapi.install(app)
    # The last one is the first to see a request.
    app.add_middleware(Leaving)
    app.add_middleware(Access, service=service, keys=app.state.keys, rates=app.state.rates)
    if service.options.cors:
        app.add_middleware(
            CORSMiddleware, allow_origins=service.options.cors, allow_methods=["GET", "POST", "PUT", "DELETE"], max_age=600,
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-Request-Id", "Range", "Last-Event-ID"],
            expose_headers=["X-Request-Id", "Retry-After", "RateLimit", "RateLimit-Policy", "Content-Range", "ETag", "Location",
                            "X-Pellucid-Haze", "X-Pellucid-Method", "X-Pellucid-Reason"],
        )  # fmt: skip
    app.add_middleware(RequestGuard, options=service.options)
    app.add_middleware(RequestLog, metrics=app.state.metrics)
    app.add_middleware(SecurityHeaders)
    for routes in (
        health_routes, session_routes, model_routes, embeddings_routes, tag_routes, run_routes, stats_routes, search_routes,
        layout_routes, image_routes, facet_routes, duplicates_routes, job_routes, dataset_routes, export_routes,
        page_routes,
    ):  # fmt: skip
        app.include_router(routes.router)
    return app
