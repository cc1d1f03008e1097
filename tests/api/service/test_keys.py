from __future__ import annotations

import hmac
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from api.keys import expiry
from api.service.keys import SESSION_S, KeyStore
from preprocess import InputError, LibraryBusy, LibraryDamaged, StorageFull
from search import Library, Store

NOW = datetime(2030, 5, 1, 12, 30, tzinfo=UTC)
FAR = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    return KeyStore(Library(tmp_path / "library", create=True).folder)


def past(keys: KeyStore, **changed: str) -> None:
    """Change times in the file, as if time had gone by."""
    data = json.loads(keys.file.read_text())
    for entry in data["keys"] + data["sessions"]:
        entry.update({name: value for name, value in changed.items() if name in entry})
    keys.file.write_text(json.dumps(data) + " ")


def test_only_the_hash_of_a_key_is_kept(keys: KeyStore) -> None:
    key, token = keys.create("tag", "marie")
    assert token.startswith("plk_")
    assert len(token) == 4 + 43  # 256 bits
    text = keys.file.read_text()
    assert token not in text
    assert token[4:] not in text
    assert key.sha256 in text
    assert keys.held().key_of(token) == key


def test_keys_and_sessions_differ_each_time(keys: KeyStore) -> None:
    made = [keys.create("read") for _ in range(3)]
    assert len({token for _, token in made}) == len({key.id for key, _ in made}) == len({key.name for key, _ in made}) == 3
    assert keys.begin_session(made[0][0])[0] != keys.begin_session(made[0][0])[0]


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_nobody_else_can_read_the_file(keys: KeyStore) -> None:
    keys.create("read")
    for name in ("keys.json", "keys.lock"):
        assert stat.S_IMODE((keys.file.parent / name).stat().st_mode) == 0o600
    assert not list(keys.file.parent.glob(".pellucid-*"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only an administrator can give files away")
def test_an_administrator_makes_keys_for_the_user_of_the_service(keys: KeyStore) -> None:
    os.chown(keys.file.parent, 10_001, 10_002)
    keys.create("read")
    for name in ("keys.json", "keys.lock"):
        facts = (keys.file.parent / name).stat()
        assert (facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode)) == (10_001, 10_002, 0o600)


@pytest.mark.skipif(os.name != "posix", reason="links and owners are POSIX's")
@pytest.mark.parametrize("there", [True, False])
def test_an_administrator_follows_no_link_that_others_have_put_there(keys: KeyStore, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    given: list[int] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda number, *_: given.append(os.fstat(number).st_ino))
    victim = keys.file.parent.parent / "of the administrator"
    if there:
        victim.write_text("secret")
    keys.file.with_name("keys.lock").symlink_to(victim)
    with pytest.raises(LibraryDamaged, match=r"keys\.lock is a link\. Remove it"):
        keys.create("read")
    assert given == []
    assert victim.exists() is there
    keys.file.with_name("keys.lock").unlink()
    keys.create("read")
    assert len(given) == 2


@pytest.mark.skipif(os.name != "posix", reason="links and owners are POSIX's")
def test_an_administrator_gives_no_file_away_that_has_another_name(keys: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda number, *_: given.append(os.fstat(number).st_ino))
    victim = keys.file.parent.parent / "of the administrator"
    victim.write_text("secret")
    keys.file.with_name("keys.lock").hardlink_to(victim)
    keys.create("read")
    assert victim.stat().st_ino not in given
    assert keys.file.stat().st_ino in given


@pytest.mark.parametrize("token", ["", "plk_", "plk_x", "local", "é", "\udcff", "plk_" + "A" * 43, "x" * 100_000])
def test_a_wrong_key_opens_nothing(keys: KeyStore, token: str) -> None:
    keys.create("admin")
    assert keys.held().key_of(token) is None
    assert keys.held().key_of_session(token) is None


def test_the_hash_itself_opens_nothing(keys: KeyStore) -> None:
    key, _ = keys.create("admin")
    assert keys.held().key_of(key.sha256) is None
    session, _ = keys.begin_session(key)
    assert keys.held().key_of_session(keys.held().sessions[0].sha256) is None
    assert keys.held().key_of(session) is None  # a session is no key


def test_every_key_is_compared_in_constant_time(keys: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = [keys.create("read")[1] for _ in range(4)]
    seen: list[tuple[int, int]] = []

    def compare(one: str, other: str) -> bool:
        seen.append((len(one), len(other)))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(sys.modules[KeyStore.__module__], "hmac", SimpleNamespace(compare_digest=compare))
    for token in (tokens[0], tokens[3], "plk_wrong"):
        seen.clear()
        keys.held().key_of(token)
        assert seen == [(64, 64)] * 4  # all of them, whichever it is


def test_a_revoked_key_is_refused_at_once_by_another_store(keys: KeyStore) -> None:
    running = KeyStore(keys.file.parent)
    _, token = keys.create("read", "phone")
    assert running.held().key_of(token) is not None
    keys.revoke("phone")
    assert running.held().key_of(token) is None
    assert [held.state for held in keys.held().keys] == ["revoked"]
    with pytest.raises(InputError, match=r"no key 'phone' to revoke\. .*keys list"):
        keys.revoke("phone")
    keys.create("read", "phone")  # the name is free again
    assert keys.revoke(keys.held().keys[-1].id).name == "phone"


def test_an_expired_key_is_refused_and_cannot_be_confused_with_its_heir(keys: KeyStore) -> None:
    old, token = keys.create("read", "guest", FAR)
    assert keys.held().key_of(token) == old
    past(keys, expires_at="2020-01-01T00:00:00+00:00")
    assert keys.held().key_of(token) is None
    assert keys.held().keys[0].state == "expired"
    new, _ = keys.create("read", "guest")
    assert keys.revoke("guest").id == new.id  # the one that opens something


def test_a_session_ends_with_time_with_its_key_and_by_hand(keys: KeyStore) -> None:
    key, _ = keys.create("tag")
    (one, seconds), (two, _) = keys.begin_session(key), keys.begin_session(key)
    assert SESSION_S - 5 < seconds <= SESSION_S
    assert keys.held().key_of_session(one) == key
    keys.end_session(one)
    keys.end_session(one)
    assert keys.held().key_of_session(one) is None
    assert keys.held().key_of_session(two) == key
    keys.revoke(key.id)
    assert keys.held().key_of_session(two) is None
    assert keys.held().sessions == ()
    short, _ = keys.create("tag", None, datetime.now(UTC) + timedelta(minutes=1))
    token, seconds = keys.begin_session(short)
    assert seconds <= 60
    past(keys, expires_at="2020-01-01T00:00:00+00:00")
    assert keys.held().key_of_session(token) is None


def test_sessions_do_not_pile_up(keys: KeyStore) -> None:
    key, other = keys.create("read")[0], keys.create("read")[0]
    keep, _ = keys.begin_session(other)
    tokens = [keys.begin_session(key)[0] for _ in range(25)]
    assert len(keys.held().sessions) == 21
    assert keys.held().key_of_session(tokens[0]) is None
    assert keys.held().key_of_session(tokens[-1]) == key
    assert keys.held().key_of_session(keep) == other


@pytest.mark.parametrize("name", ["", "a b", "local", "nobody", "x" * 65, "a\nb", "../x", "a\x1b[31m"])
def test_a_name_that_would_confuse_a_log_is_refused(keys: KeyStore, name: str) -> None:
    with pytest.raises(InputError, match="cannot name a key"):
        keys.create("read", name)
    assert keys.held().keys == ()


def test_two_live_keys_never_share_a_name(keys: KeyStore) -> None:
    keys.create("read", "größe@büro")
    with pytest.raises(InputError, match=r"a key named größe@büro already.*keys revoke"):
        keys.create("admin", "größe@büro")
    assert len(keys.held().keys) == 1


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"keys": [{}], "sessions": []}', '{"keys": [{"id": 1', '{"keys": null, "sessions": []}', "\0" * 50]
)
def test_a_damaged_file_lets_nobody_in_and_is_not_written_over(keys: KeyStore, text: str) -> None:
    _, token = keys.create("admin")
    keys.file.write_text(text)
    for _ in range(2):  # not only the first look
        with pytest.raises(LibraryDamaged, match=r"keys\.json cannot be read.*Nobody is let in.*keys create"):
            keys.held().key_of(token)
    with pytest.raises(LibraryDamaged):
        keys.create("admin")
    assert keys.file.read_text() == text


def test_a_scope_that_is_none_lets_nobody_in(keys: KeyStore) -> None:
    keys.create("read")
    keys.file.write_text(keys.file.read_text().replace('"read"', '"root"'))
    with pytest.raises(LibraryDamaged, match="'root' is none"):
        keys.held()


def test_a_full_disk_loses_no_key(keys: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    _, token = keys.create("read")
    before = keys.file.read_text()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull):
        keys.create("read")
    assert keys.file.read_text() == before
    assert keys.held().key_of(token) is not None
    assert not list(keys.file.parent.glob(".pellucid-*"))


def test_keys_are_not_changed_while_another_process_changes_them(keys: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[KeyStore.__module__], "_WAIT_S", 0.1)
    with keys._locked(), pytest.raises(LibraryBusy, match="changed by another process"):
        KeyStore(keys.file.parent).create("read")
    KeyStore(keys.file.parent).create("read")


def test_processes_that_make_keys_at_once_lose_none(keys: KeyStore) -> None:
    code = "import sys; from pathlib import Path; from api.service.keys import KeyStore; [KeyStore(Path(sys.argv[1])).create('read') for _ in range(5)]"
    made = [subprocess.Popen([sys.executable, "-c", code, str(keys.file.parent)]) for _ in range(3)]
    assert [process.wait(30) for process in made] == [0, 0, 0]
    assert len(keys.held().keys) == 15


EXPIRIES = [
    ("12h", NOW + timedelta(hours=12)),
    ("30d", NOW + timedelta(days=30)),
    (" 8W ", NOW + timedelta(weeks=8)),
    ("99999w", NOW + timedelta(days=36_500)),
    ("2030-05-01", datetime(2030, 5, 2, tzinfo=UTC)),
    ("2031-12-31", datetime(2032, 1, 1, tzinfo=UTC)),
    (None, None),
]


@pytest.mark.parametrize(("text", "end"), EXPIRIES)
def test_when_a_key_ends(text: str | None, end: datetime | None) -> None:
    assert expiry(text, NOW) == end


@pytest.mark.parametrize(
    "text", ["", "30", "-3d", "d", "2030-13-01", "2030-04-30", "0d", "tomorrow", "9999-12-31", "٣d", "1e3d", "999999d"]
)
def test_when_a_key_cannot_end(text: str) -> None:
    with pytest.raises(InputError, match=r"is no time to end at|is over already"):
        expiry(text, NOW)


Command = Callable[..., Any]


def test_a_key_is_shown_once(pellucid: Command, tmp_path: Path) -> None:
    library = tmp_path / "library"
    made = pellucid("keys", "create", "--scope", "read", "--name", "phone", "--expires", "30d", "--library", library)
    assert made.code == 0
    token = made.out.strip()
    assert KeyStore(library).held().key_of(token).name == "phone"  # type: ignore[union-attr]
    assert f"phone, may read in {library} and ends 20" in made.err
    assert "not shown again" in made.err
    assert token not in made.err
    listed = pellucid("keys", "list", "--library", library)
    told = pellucid("keys", "list", "--json", "--library", library)
    assert "phone" in listed.out
    assert (told.json[0]["name"], told.json[0]["scope"], told.json[0]["state"]) == ("phone", "read", "live")
    for text in (listed.out, told.out):
        assert token not in text
        assert KeyStore(library).held().keys[0].sha256 not in text
    assert "phone" in pellucid("keys", "revoke", "phone", "--library", library).out
    assert pellucid("keys", "list", "--json", "--library", library).json[0]["state"] == "revoked"


def test_a_key_for_programs(pellucid: Command, tmp_path: Path) -> None:
    made = pellucid("keys", "create", "--scope", "admin", "--json", "--library", tmp_path / "library").json
    assert (made["scope"], made["expires_at"], made["name"]) == ("admin", None, f"key-{made['id']}")
    gone = pellucid("keys", "revoke", made["id"], "--json", "--library", tmp_path / "library").json
    assert (gone["id"], gone["state"]) == (made["id"], "revoked")


def test_the_first_key_makes_a_library_that_can_be_indexed_into(
    pellucid: Command, tmp_path: Path, photos: Path, mean_colour_listed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PELLUCID_ENCODER", mean_colour_listed)
    library = tmp_path / "library"
    token = pellucid("keys", "create", "--scope", "read", "--library", library).out.strip()
    assert pellucid("index", photos, "--library", library).code == 0
    assert Store(Library(library)).images().num_rows == 10
    assert KeyStore(library).held().key_of(token) is not None


WRONG = [
    (("create", "--scope", "write"), 2, "No scope named 'write'. Known: read, tag, admin."),
    (("create", "--scope", "read", "--expires", "soon"), 2, "'soon' is no time to end at"),
    (("create", "--scope", "read", "--name", "local"), 2, "cannot name a key"),
    (("create",), 2, "--scope"),
    (("revoke", "nobody"), 2, "There is no key 'nobody' to revoke"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), WRONG)
def test_what_cannot_be_done_with_keys(pellucid: Command, library: Library, arguments: tuple[str, ...], code: int, message: str) -> None:
    ran = pellucid("keys", *arguments, "--library", library.folder)
    assert ran.code == code
    assert message in ran.err
    assert ran.out == ""
    assert KeyStore(library.folder).held().keys == ()


def test_where_there_is_no_library_or_no_key(pellucid: Command, tmp_path: Path, library: Library) -> None:
    assert pellucid("keys", "list", "--library", tmp_path / "nowhere").code == 4
    none = pellucid("keys", "list", "--library", library.folder)
    assert (none.code, none.out) == (0, "")
    assert "There are no keys. Make one: pellucid keys create" in none.err
    assert pellucid("keys", "list", "--json", "--library", library.folder).json == []
    photos = tmp_path / "photos of somebody"
    photos.mkdir()
    (photos / "cat.jpg").write_bytes(b"x")
    assert pellucid("keys", "create", "--scope", "read", "--library", photos).code == 6
    assert [entry.name for entry in photos.iterdir()] == ["cat.jpg"]
