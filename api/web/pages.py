"""The first pages."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from starlette.responses import HTMLResponse, Response

router = APIRouter(include_in_schema=False)


def install(app: FastAPI) -> None:
    """Add the pages to the application."""
    app.include_router(router)


@router.get("/")
def home() -> Response:
    """Say what this is."""
    return HTMLResponse("<!doctype html><html lang=fr><title>Probans</title><h1>Probans</h1>")
