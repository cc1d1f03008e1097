"""What the hub or the network said, as errors with a remedy."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from preprocess import InputError, PellucidError, StorageFull, WeightsError


def answered(error: Exception) -> bool:
    """Whether the hub itself refused, so that trying the cache instead would hide it. A server error is the hub's bad day: the cache may do."""
    return (
        isinstance(error, HfHubHTTPError)
        and error.response is not None
        and error.response.status_code < 500
        and error.response.status_code != 407
    )


def refusal(name: str, error: Exception) -> PellucidError:
    """The error of ours for what huggingface_hub or the network said."""
    address = f"{constants.ENDPOINT}/{name}"
    if isinstance(error, GatedRepoError):
        return WeightsError(
            f"{name} is not for everybody. Ask for access at {address}, log in (hf auth login), and run the same command again."
        )
    if isinstance(error, RepositoryNotFoundError):
        return InputError(f"The hub has no repository {name}, or it is private. Check the name at {address}, or log in: hf auth login")
    if isinstance(error, LocalEntryNotFoundError):
        return WeightsError(f"{unreachable(reason(error.__cause__ or error))}. {remedy(name)}")
    if isinstance(error, EntryNotFoundError):
        return WeightsError(f"A file of {name} is not on the hub any more. See {address}")
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        status = error.response.status_code
        if status in (401, 403):
            return WeightsError(f"The hub refuses {name} (status {status}). Log in (hf auth login), or ask for access at {address}")
        return WeightsError(f"The hub answered with status {status} for {name}. Try again later. {remedy(name)}")
    return WeightsError(
        f"{unreachable(reason(error))}. What was downloaded is kept and the same command goes on from there. {remedy(name)}"
    )


def unreachable(why: str) -> str:
    """The beginning of a sentence: that the hub was not reached, or not asked, and why."""
    return (
        f"The hub ({constants.ENDPOINT}) is not asked: {why}"
        if why.startswith(("--offline", "HF_"))
        else f"The hub ({constants.ENDPOINT}) cannot be reached: {why}"
    )


def reason(error: BaseException) -> str:
    """The first line of what went wrong."""
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set"
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200].rstrip(".")


def remedy(name: str) -> str:
    """How to bring a repository to a machine without a network."""
    return (
        f"Without network: run the same command on a machine that has it, and copy the model's folder here (pellucid models list shows where), "
        f"or copy its cache folder models--{name.replace('/', '--')} into {constants.HF_HUB_CACHE}; or add a folder with path:FOLDER."
    )


@contextlib.contextmanager
def storage_errors_of_cache() -> Iterator[None]:
    """A cache that takes no more is an error of ours; whatever else goes wrong stays what it is."""
    try:
        yield
    except OSError as error:
        folder = constants.HF_HUB_CACHE
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StorageFull(
                f"The disk of the hub's cache, {folder}, is full. Free some space, or set HF_HOME to a folder elsewhere."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise WeightsError(
                f"The hub's cache, {folder}, cannot be written: {error.strerror}. Set HF_HOME to a folder that can."
            ) from error
        raise
