"""`pellucid serve`: the service over one library."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer

from preprocess import InputError, MissingExtra

from .options import LibraryOption

if TYPE_CHECKING:
    from uvicorn import Config

    from .settings import Settings

NEEDED = ("fastapi", "uvicorn", "python_multipart", "limits", "prometheus_client")
BACKLOG, CONNECTIONS = 512, 1_000
HEADER_BYTES = 32_768
KEEP_ALIVE_S, END_S = 30, 5
_LOG = logging.getLogger("pellucid.service")


def serve(
    library: LibraryOption = None,
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on; any but loopback needs keys.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65_535, help="0: any that is free.", show_default="8000")] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    root_path: Annotated[
        str | None, typer.Option("--root-path", metavar="PATH", help="Path below which a reverse proxy shows it, such as /photos.")
    ] = None,
    forwarded_allow_ips: Annotated[
        str | None,
        typer.Option("--forwarded-allow-ips", metavar="ADDRESS,...", help="Reverse proxies whose X-Forwarded headers are believed."),
    ] = None,
) -> None:
    """Serve the library by HTTP: a page to look at, and an API. Ctrl+C ends it."""
    from .output import plain
    from .settings import load_settings

    proxies = (
        [address.strip() for address in forwarded_allow_ips.split(",") if address.strip()] if forwarded_allow_ips is not None else None
    )
    settings = load_settings(library=library, serve_host=host, serve_port=port, serve_root_path=root_path, serve_proxies=proxies)

    def begun(address: str) -> None:
        there = (settings.library.expanduser() / "library.json").is_file()
        shown = (
            f"shows {settings.library}"
            if there
            else f"has nothing to show yet: nothing is indexed in {settings.library}. Index a folder from the page, or name another with --library"
        )
        typer.echo(plain(f"Pellucid is at {address} and {shown}. Ctrl+C ends it."), err=True)
        if show:
            import webbrowser

            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    run_service(settings, begun)


def run_service(settings: Settings, on_begun: Callable[[str], None] = lambda _address: None) -> None:
    """Serve until a signal ends it.

    Raises:
        MissingExtra: the packages of the service are not installed.
        InputError: the address cannot be listened on, or it can be reached by others and there is no key.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise MissingExtra(f"The service needs {', '.join(missing)}. To install what it needs, run: pip install 'pellucid[service]'")
    check_keys(settings)
    from uvicorn import Server

    class Announced(Server):
        """Says its address once it can be called."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_begun(address)

    listening = listen(settings.serve_host, settings.serve_port)
    address = address_of(settings, listening.getsockname()[1])
    _begin_log()
    if threading.current_thread() is threading.main_thread():
        # uvicorn raises the signal that ended it once more when it is done; by then it has done its work.
        signal.signal(signal.SIGTERM, lambda _signal, _frame: None)
    try:
        Announced(server_config(settings)).run([listening])
    except KeyboardInterrupt:
        _LOG.info("ended")
    finally:
        listening.close()
    _end_threads()


def server_config(settings: Settings) -> Config:
    """How uvicorn runs the service: one process, HTTP/1.1 alone, with limits on headers, connections and waiting."""
    from uvicorn import Config

    from .service import create_app
    from .service.connections import Connection

    return Config(
        create_app(settings), loop="asyncio", http=Connection, ws="none", lifespan="on", log_config=None, access_log=False, server_header=False,
        proxy_headers=bool(settings.serve_proxies), forwarded_allow_ips=settings.serve_proxies, root_path=settings.serve_root_path,
        limit_concurrency=CONNECTIONS, backlog=BACKLOG, timeout_keep_alive=KEEP_ALIVE_S, timeout_graceful_shutdown=END_S,
        h11_max_incomplete_event_size=HEADER_BYTES,
    )  # fmt: skip


def check_keys(settings: Settings) -> None:
    """Refuse to be reached from elsewhere while there is no key.

    Raises:
        InputError: there is none.
        LibraryDamaged: the keys cannot be read.
    """
    from .service.keys import KeyStore
    from .service.options import is_loopback

    if is_loopback(settings.serve_host):
        return
    folder = settings.library.expanduser()
    if not any(key.state == "live" for key in KeyStore(folder).held().keys):
        raise InputError(
            f"On {settings.serve_host} others can reach the service, and {folder} has no key. Make one first: "
            f"pellucid keys create --scope read --library {folder}  Or listen on 127.0.0.1, which needs none."
        )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        InputError: the port is in use or not allowed, or the address is not of this machine.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, place = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        return socket.create_server(place[:2], family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        reasons = {
            errno.EADDRINUSE: f"Port {port} of {host} is in use by another program, perhaps by a service that runs already. Choose another: --port {min(port + 1, 65_535)}",
            errno.EACCES: f"Port {port} is not allowed for this user. Choose one from 1024 on: --port 8000",
            errno.EADDRNOTAVAIL: f"{host} is no address of this machine. Choose one that is: --host 127.0.0.1",
        }
        number = error.errno if isinstance(error, OSError) and not isinstance(error, socket.gaierror) else None
        raise InputError(
            reasons.get(number or 0, f"{host} cannot be listened on: {error}. Choose another address: --host 127.0.0.1")
        ) from error


def address_of(settings: Settings, port: int) -> str:
    """Where the page is, for people on this machine."""
    host = settings.serve_host.strip("[]")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (read, not listened on)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{settings.serve_root_path}/"


def _begin_log() -> None:
    """One line a request on standard error, under the request's id; of the server's own words only warnings."""
    from .service.request_log import WithRequestId

    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(WithRequestId())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(request_id)s %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger("pellucid").setLevel(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _end_threads() -> None:
    """Wait a little for threads that work for nobody any more, then end without them: a kill loses nothing, so this does not either."""
    end = time.monotonic() + END_S
    while any(_working(thread) for thread in threading.enumerate()):
        if time.monotonic() > end:
            _LOG.warning("ended while requests were still worked on")
            logging.shutdown()
            os._exit(0)
        time.sleep(0.05)


def _working(thread: Any) -> bool:
    return bool(thread.name.startswith("request_") and thread.is_alive())


__all__ = ["run_service", "serve"]
