"""How the service runs: the part of the settings that is about serving."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from preprocess import SettingsError

if TYPE_CHECKING:
    from ..settings import Settings


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """Limits of one service. `workers` threads do the work of requests, and at most `queue` requests wait for one; more are told to come again."""

    workers: int = 2
    queue: int = 32
    wait_s: float = 30
    upload_bytes: int = 64_000_000
    rate_per_minute: int = 600
    roots: tuple[Path, ...] = ()
    fetch_urls: bool = False
    cors: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    hosts: tuple[str, ...] = ()

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the service, so that it may run without keys."""
        return is_loopback(self.host)

    @classmethod
    def of(cls, settings: Settings) -> ServiceOptions:
        """Those that the settings name.

        Raises:
            SettingsError: an origin is none.
        """
        return cls(
            settings.serve_workers or min(os.cpu_count() or 1, 4),
            settings.serve_queue,
            settings.serve_wait_s,
            int(settings.serve_upload_mb * 1_000_000),
            settings.serve_rate,
            tuple(Path(root).expanduser().absolute() for root in settings.serve_roots),
            settings.serve_fetch_urls,
            tuple(_origin(origin) for origin in settings.serve_cors),
            settings.serve_host,
            tuple(host.lower() for host in settings.serve_hosts),
        )


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone. Of names, only `localhost` is: others may mean another machine tomorrow."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _origin(text: str) -> str:
    """An origin as browsers write it. `*` is refused: it would let every page that somebody opens call the service."""
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and parts.hostname and text.lower() == f"{parts.scheme}://{parts.netloc}".lower()
        valid = bool(valid and parts.port != 0 and "@" not in parts.netloc and "*" not in text)
    except ValueError:
        valid = False
    if not valid:
        raise SettingsError(f"The setting 'serve_cors' has {text!r}, which is no origin. Write each as https://photos.example.org")
    return text.lower()
