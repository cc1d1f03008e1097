"""The browser's way to use a key: it is given once, and a cookie that no script can read stands for it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import Field

from .access import COOKIE, Caller, address_of, service_of, session_of
from .keys import KeyStore, Scope
from .problem import PROBLEMS
from .rate_limits import RateLimits
from .schemas import Asked, Given
from .state import Service

router = APIRouter(prefix="/v1/session", tags=["session"], responses=PROBLEMS)


class SessionAsked(Asked):
    """A key to sign in with."""

    key: str = Field(
        min_length=1, max_length=200, description="plk_..., as it was shown when it was made", examples=["plk_the-key-that-was-shown"]
    )


class SessionGiven(Given):
    """Who the caller is."""

    name: str | None = Field(description="the key's name, `local` where none is needed, none for nobody")
    scope: Scope | None = Field(description="what the caller may do; none: nothing")
    key_needed: bool = Field(description="whether a key must be given first")


@router.get("", operation_id="get_session")
async def get_session(request: Request) -> SessionGiven:
    """Who calls, and whether a key is needed. Needs none itself."""
    return _given(request.scope.get("pellucid.caller"))


@router.post("", operation_id="begin_session")
async def begin_session(
    asked: SessionAsked, request: Request, response: Response, service: Annotated[Service, Depends(service_of)]
) -> SessionGiven:
    """Sign in: the answer sets a cookie that lasts 30 days, or as long as the key."""
    keys, rates = _keys(request), _rates(request)
    key = keys.held().key_of(asked.key.strip())
    if key is None:
        spent = await rates.spend("failed", address_of(request.scope))
        if not spent.allowed:
            raise HTTPException(429, f"Too many wrong keys. Try again in {spent.reset_s} seconds.", spent.headers)
        detail = "This key opens nothing here: it is wrong, expired or revoked. Who runs the service makes a new one: pellucid keys create"
        raise HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})
    token, seconds = await service.workers.run(keys.begin_session, key)
    secure, path = request.url.scheme == "https", request.scope.get("root_path") or "/"
    response.set_cookie(COOKIE, token, max_age=seconds, path=path, secure=secure, httponly=True, samesite="strict")
    return _given(Caller(key.name, key.scope, key.id))


@router.delete("", operation_id="end_session", status_code=204)
async def end_session(request: Request, service: Annotated[Service, Depends(service_of)]) -> Response:
    """Sign out. The cookie's session ends for good, wherever it was copied to."""
    if (token := session_of(request.headers)) is not None:
        await service.workers.run(_keys(request).end_session, token)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path=request.scope.get("root_path") or "/", httponly=True, samesite="strict")
    return response


def _given(caller: Caller | None) -> SessionGiven:
    return SessionGiven(name=caller.name if caller else None, scope=caller.scope if caller else None, key_needed=caller is None)


def _keys(request: Request) -> KeyStore:
    keys: KeyStore = request.app.state.keys
    return keys


def _rates(request: Request) -> RateLimits:
    rates: RateLimits = request.app.state.rates
    return rates
