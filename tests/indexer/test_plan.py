from __future__ import annotations

import dataclasses

import pytest

from indexer import Found, Known, Plan, plan
from search import Failure

KEY = ("/photos", "a.jpg")
FILE = Found(*KEY, 10, 100)
KNOWN = Known("aa", 10, 100)


def failed(error: str = "ImageCorrupt", byte_size: int = 10, modified_ns: int = 100) -> Failure:
    return Failure(*KEY, byte_size, modified_ns, error, "it is damaged")


@dataclasses.dataclass
class Case:
    name: str
    outcome: str
    found: Found | None = FILE
    known: Known | None = None
    failure: Failure | None = None
    complete: bool = True
    still_there: bool = False


CASES = [
    Case("never seen", "new"),
    Case("never seen, its bytes known", "new", complete=True),
    Case("as it was", "same", known=KNOWN),
    Case("other size", "changed", known=dataclasses.replace(KNOWN, byte_size=11)),
    Case("other time", "changed", known=dataclasses.replace(KNOWN, modified_ns=99)),
    Case("older time", "changed", found=Found(*KEY, 10, 1), known=KNOWN),
    Case("as it was, lacking something", "reembed", known=KNOWN, complete=False),
    Case("changed, lacking something", "changed", known=dataclasses.replace(KNOWN, byte_size=11), complete=False),
    Case("off the disk", "gone", found=None, known=KNOWN),
    Case("not found, but there", "kept", found=None, known=KNOWN, still_there=True),
    Case("damaged as before", "failed_before", failure=failed()),
    Case("damaged as before, an older row is kept", "failed_before", known=dataclasses.replace(KNOWN, byte_size=9), failure=failed()),
    Case("was damaged, other size now", "new", failure=failed(byte_size=9)),
    Case("was damaged, other time now", "new", failure=failed(modified_ns=99)),
    Case("was damaged, restored to the indexed state", "same", known=KNOWN, failure=failed(byte_size=3)),
    Case("was damaged, changed again, has a row", "changed", known=Known("aa", 9, 9), failure=failed(byte_size=3)),
    *(
        Case(f"{error} is retried", "new", failure=failed(error))
        for error in ("MissingExtra", "ImageUnreadable", "ImageVanished", "ImageTooLarge", "ImageError")
    ),
    *(Case(f"{error} is not retried", "failed_before", failure=failed(error)) for error in ("ImageCorrupt", "ImageUnsupported")),
    Case("never seen, and off the disk", "nothing", found=None),
    Case("failed, and off the disk", "nothing", found=None, failure=failed()),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_one_file(case: Case) -> None:
    out = plan(
        [case.found] if case.found else [],
        {KEY: case.known} if case.known else {},
        {KEY: case.failure} if case.failure else {},
        {KEY} if case.complete else set(),
        lambda _key: case.still_there,
    )
    expected = Plan()
    if case.outcome == "same":
        expected.same = 1
    elif case.outcome == "failed_before":
        expected.failed_before = [case.failure]  # type: ignore[list-item]
    elif case.outcome in ("gone", "kept"):
        setattr(expected, case.outcome, [KEY])
    elif case.outcome != "nothing":
        setattr(expected, case.outcome, [case.found])
    assert out == expected


def test_no_file_is_lost_and_the_order_is_kept() -> None:
    files = [Found("/photos", f"{at:02}.jpg", 10, 100) for at in range(30)]
    known = {file.key: Known(f"d{at % 3}", 10, 100 + at % 2) for at, file in enumerate(files[:20])}
    known |= {("/photos", f"gone {at}.jpg"): KNOWN for at in range(5)}
    out = plan(files, known, {}, {key for key, row in known.items() if row.digest != "d2"}, lambda _key: False)
    assert [file.path for file in out.new] == [file.path for file in files[20:]]
    assert len(out.todo) + out.same == 30
    assert out.todo == [*out.new, *out.changed, *out.reembed]
    assert len(out.gone) == 5


def test_the_same_path_in_another_root_is_another_photo() -> None:
    other = Found("/elsewhere", "a.jpg", 10, 100)
    assert plan([FILE, other], {KEY: KNOWN}, {}, {KEY}, lambda _key: False).new == [other]
