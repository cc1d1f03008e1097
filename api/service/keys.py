"""Keys of the service: who they are for, what they allow, until when. Only their hashes are kept, in `keys.json` of the library's folder.

A key holds 256 random bits, so nobody finds it by guessing, and a plain sha256 is as good as it gets: slow hashes (argon2, bcrypt) are for
secrets that people make up, and would cost every request a tenth of a second.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar, get_args

from preprocess import InputError, LibraryBusy, LibraryDamaged, storage_errors, temporary_beside, try_lock

Scope = Literal["read", "tag", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Each includes those before it."""

PREFIX = "plk_"
FILE, LOCK = "keys.json", "keys.lock"
SESSION_S = 30 * 86_400
"""How long a browser stays signed in, at most."""
_SESSIONS = 20  # of one key; the oldest end first
_RESERVED = frozenset({"local", "nobody"})
_NAME = re.compile(r"[\w.@+-]{1,64}")
_WAIT_S = 5.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Key:
    """One key as it is kept. Times are UTC, ISO 8601."""

    id: str
    name: str
    scope: Scope
    sha256: str
    created_at: str
    expires_at: str | None = None
    revoked_at: str | None = None

    @property
    def state(self) -> Literal["live", "expired", "revoked"]:
        """Whether it opens anything now."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and datetime.fromisoformat(self.expires_at) <= datetime.now(UTC) else "live"


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that was given a key; it may what the key may, and ends with it."""

    sha256: str
    key: str
    expires_at: str


@dataclass(frozen=True, slots=True)
class Held:
    """What the file says."""

    keys: tuple[Key, ...] = ()
    sessions: tuple[Session, ...] = field(default=())

    def key_of(self, token: str) -> Key | None:
        """The live key with this secret. All are compared, each in constant time, so that the time tells nothing of them."""
        digest, found = _digest(token), None
        for key in self.keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found if found is not None and found.state == "live" else None

    def key_of_session(self, token: str) -> Key | None:
        """The live key of a session that has not ended."""
        digest, found = _digest(token), None
        for session in self.sessions:
            if hmac.compare_digest(session.sha256, digest):
                found = session
        if found is None or datetime.fromisoformat(found.expires_at) <= datetime.now(UTC):
            return None
        return next((key for key in self.keys if key.id == found.key and key.state == "live"), None)


class KeyStore:
    """The keys of one library. Each look reads the file again if it has changed, so a revoked key is refused at once."""

    def __init__(self, library: Path) -> None:
        self.file = library / FILE
        self._seen: tuple[int, int, int] | None = None
        self._held = Held()

    def held(self) -> Held:
        """What the file says now; nothing where there is none.

        Raises:
            LibraryDamaged: the file cannot be read, so nobody can be let in.
        """
        try:
            facts = self.file.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._seen, self._held = None, Held()
            return self._held
        except OSError as error:
            raise self._damaged(error) from error
        seen = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
        if seen != self._seen:
            try:
                data = json.loads(self.file.read_text(encoding="utf-8"))
                keys = tuple(Key(**key) for key in data["keys"])
                sessions = tuple(Session(**session) for session in data["sessions"])
                for key in keys:
                    if key.scope not in SCOPES or not key.state:
                        raise ValueError(f"the scope {key.scope!r} is none")
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise self._damaged(error) from error
            self._seen, self._held = seen, Held(keys, sessions)
        return self._held

    def create(self, scope: Scope, name: str | None = None, expires: datetime | None = None) -> tuple[Key, str]:
        """A new key and its secret, which is kept nowhere.

        Raises:
            InputError: a live key has that name, or it cannot be one.
        """
        token, key_id = PREFIX + secrets.token_urlsafe(32), secrets.token_hex(4)
        name = f"key-{key_id}" if name is None else name
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise InputError(f"{name!r} cannot name a key. Use up to 64 letters, digits and . _ @ + - without spaces.")
        key = Key(key_id, name, scope, _digest(token), _now(), expires.isoformat() if expires is not None else None)

        def add(held: Held) -> tuple[Held, Key]:
            if any(other.name == name and other.state == "live" for other in held.keys):
                raise InputError(f"There is a key named {name} already. Choose another name, or revoke it: pellucid keys revoke {name}")
            return replace(held, keys=(*held.keys, key)), key

        return self._change(add), token

    def revoke(self, which: str) -> Key:
        """Make a key, named by its name or id, open nothing any more; its sessions end too.

        Raises:
            InputError: there is no such live key.
        """

        def end(held: Held) -> tuple[Held, Key]:
            found = [key for key in held.keys if which in (key.id, key.name) and key.revoked_at is None]
            live = [key for key in found if key.state == "live"] or found
            if not live:
                raise InputError(f"There is no key {which!r} to revoke. See which there are: pellucid keys list")
            gone = replace(live[0], revoked_at=_now())
            keys = tuple(gone if key.id == gone.id else key for key in held.keys)
            return Held(keys, tuple(session for session in held.sessions if session.key != gone.id)), gone

        return self._change(end)

    def begin_session(self, key: Key) -> tuple[str, int]:
        """The secret of a new session with this key, and the seconds until it ends."""
        token = secrets.token_urlsafe(32)
        until = time.time() + SESSION_S
        if key.expires_at is not None:
            until = min(until, datetime.fromisoformat(key.expires_at).timestamp())
        session = Session(_digest(token), key.id, datetime.fromtimestamp(until, UTC).isoformat())

        def add(held: Held) -> tuple[Held, None]:
            now = datetime.now(UTC)
            left = [kept for kept in held.sessions if datetime.fromisoformat(kept.expires_at) > now]
            own = [kept for kept in left if kept.key == key.id][-_SESSIONS + 1 :]
            return replace(held, sessions=(*(kept for kept in left if kept.key != key.id), *own, session)), None

        self._change(add)
        return token, max(1, int(until - time.time()))

    def end_session(self, token: str) -> None:
        """End a session; one that is not there is ended already."""
        digest = _digest(token)
        if any(hmac.compare_digest(session.sha256, digest) for session in self.held().sessions):
            self._change(lambda held: (replace(held, sessions=tuple(kept for kept in held.sessions if kept.sha256 != digest)), None))

    def _change(self, change: Callable[[Held], tuple[Held, T]]) -> T:
        """Write what `change` makes of the file, in one step and as the only writer."""
        with self._locked():
            held, result = change(self.held())
            fresh = temporary_beside(self.file)
            data = {"keys": [asdict(key) for key in held.keys], "sessions": [asdict(session) for session in held.sessions]}
            with storage_errors(self.file.parent):
                try:
                    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as out:
                        self._give(out.fileno())
                        json.dump(data, out, indent=1)
                        out.flush()
                        os.fsync(out.fileno())
                    fresh.replace(self.file)
                finally:
                    fresh.unlink(missing_ok=True)
            return result

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        place = self.file.with_name(LOCK)
        with storage_errors(self.file.parent):
            try:
                number = os.open(place, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600)
            except OSError:
                if place.is_symlink():
                    raise LibraryDamaged(f"{place} is a link. Remove it and run this again.") from None
                raise
            handle = os.fdopen(number, "r+", encoding="utf-8")
        with handle:
            self._give(handle.fileno())
            end = time.monotonic() + _WAIT_S
            while not try_lock(handle):
                if time.monotonic() > end:
                    raise LibraryBusy(f"The keys in {self.file.parent} are being changed by another process. Run this again.")
                time.sleep(0.02)
            yield

    def _give(self, number: int) -> None:
        """Where an administrator makes keys for a service that runs as another user, the files are that user's, whose the library is.

        That user can put other files under these names: what has a second name somewhere is not given away.
        """
        facts = os.fstat(number)
        if hasattr(os, "geteuid") and os.geteuid() == 0 and stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1:
            owner = self.file.parent.stat()
            os.fchown(number, owner.st_uid, owner.st_gid)

    def _damaged(self, error: Exception) -> LibraryDamaged:
        return LibraryDamaged(
            f"{self.file} cannot be read: {error}. Nobody is let in until it can. Restore it, or remove it and make new keys: pellucid keys create"
        )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
