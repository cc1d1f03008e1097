"""The composed settings: command line > `PELLUCID_*` environment > `pellucid.toml` > default. The only reader of environment and file."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_config_path, user_data_path
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings import SettingsError as SourceError

from preprocess import SettingsError

FILE = "pellucid.toml"
PREFIX = "PELLUCID_"


def default_models() -> Path:
    """Where added models are when nobody says otherwise."""
    return user_data_path("pellucid") / "models"


def default_library() -> Path:
    """Where the library is when nobody says otherwise."""
    return user_data_path("pellucid") / "library"


class Settings(BaseSettings):
    """Each field may stand in `pellucid.toml` or, in capitals behind `PELLUCID_`, in the environment."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", env_ignore_empty=True)

    library: Path = Field(default_factory=default_library, description="the library's folder")
    encoder: str | None = Field(
        None, description="what maps photos and words to vectors; unset: the encoder that the library uses, `builtin` in a new one"
    )
    precision: Literal["auto", "fp32", "int8"] = Field(
        "auto", description="of an added model: `fp32`, `int8`, or `auto`, which measures on your own photos whether `int8` is as good"
    )
    runtime: Literal["auto", "onnx", "torch"] = Field("auto", description="what runs an added model: `onnx`, `torch`, or `auto`")
    models: Path = Field(default_factory=default_models, description="the folder of models that were added")
    dehaze: str | None = Field(
        None,
        description="which photos are dehazed for a second vector: `auto`, `none`, or a dehazer for all; unset: as before, `auto` in a new library",
    )
    regions: str | None = Field(
        None,
        description="what finds the regions of photos: `none`, `builtin`, `proposals`, an added segmenter, or several joined by `+`; unset: as before, "
        "`none` in a new library",
    )
    exclude: list[str] = Field(default_factory=list, description="globs of files and folders that are not indexed")
    include_hidden: bool = Field(False, description="whether names that start with a dot are indexed")
    max_megapixels: float = Field(180, gt=0, allow_inf_nan=False, description="photos with more are refused before they are decoded")
    jobs: int = Field(0, ge=0, description="threads that read photos; 0 means one for each core")
    allow_private_urls: bool = Field(False, description="whether pictures may be fetched from private and loopback addresses")
    server: str | None = Field(
        None, description="address of a service that commands ask in place of a library here, such as http://127.0.0.1:8000"
    )
    server_key: str | None = Field(
        None, repr=False, description="the key for it; better in the environment or the file than on a command line"
    )
    serve_workers: int = Field(
        0, ge=0, description="threads of the service that do the work of requests; 0 means one for each core, four at most"
    )
    serve_queue: int = Field(32, ge=0, description="requests that may wait for a thread; more are told to come again")
    serve_wait_s: float = Field(30, gt=0, allow_inf_nan=False, description="seconds that a request may wait for a thread")
    serve_upload_mb: float = Field(64, gt=0, allow_inf_nan=False, description="megabytes of a request's body, at most")
    serve_rate: int = Field(600, ge=1, description="requests a minute for each key, or for each address where there are no keys")
    serve_roots: list[Path] = Field(
        default_factory=list, description="folders below which jobs of the service may index; unset: the library's own roots alone"
    )
    serve_fetch_urls: bool = Field(False, description="whether the service fetches pictures from addresses that requests name")
    serve_cors: list[str] = Field(default_factory=list, description="origins of other sites whose pages may call the service with a key")
    serve_host: str = Field(
        "127.0.0.1", min_length=1, description="address that the service listens on; keys are needed on any but loopback"
    )
    serve_port: int = Field(8000, ge=0, le=65_535, description="port that the service listens on; 0 means any that is free")
    serve_hosts: list[str] = Field(
        default_factory=list,
        description="names by which the service may be called, beside this machine's own; a reverse proxy's, for instance",
    )
    serve_root_path: str = Field(
        "", pattern=r"^(/[A-Za-z0-9._~-]+)*$", description="the path below which a reverse proxy shows the service"
    )
    serve_proxies: list[str] = Field(
        default_factory=list, description="addresses of reverse proxies whose X-Forwarded headers are believed"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (the base class passes it)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line first, then environment, then the files: the one here before the user's own."""
        return (
            init_settings,
            env_settings,
            TomlConfigSettingsSource(settings_cls, toml_file=[user_config_path("pellucid") / FILE, Path(FILE)]),
        )


def load_settings(**given: Any) -> Settings:
    """The settings; what is given and not none wins.

    Raises:
        SettingsError: a variable or key is misspelt, or a value is out of range.
    """
    names = list(Settings.model_fields)
    for variable in os.environ:
        if variable.upper().startswith(PREFIX) and variable.upper().removeprefix(PREFIX).lower() not in names:
            raise SettingsError(_unknown(variable, [PREFIX + name.upper() for name in names], "environment variable"))
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise SettingsError(_unknown(name, names, f"key in {FILE}")) from error
        raise SettingsError(f"The setting {name!r} is {first['input']!r}: {first['msg'].lower()}.") from error
    except SourceError as error:  # a variable that should hold JSON
        reason = f"{error}. A list is written as JSON: {PREFIX}EXCLUDE='[\"*.gif\"]'"
        raise SettingsError(f"An environment variable is wrong: {reason}") from error
    except (OSError, ValueError) as error:
        raise SettingsError(f"{FILE} cannot be read: {error}") from error


def _unknown(name: str, known: list[str], what: str) -> str:
    bare = {entry.removeprefix(PREFIX): entry for entry in known}  # with the prefix, all variables look alike
    near = difflib.get_close_matches(name.upper().removeprefix(PREFIX) if name.upper().startswith(PREFIX) else name, bare, n=1)
    hint = f" Did you mean {bare[near[0]]}?" if near else ""
    return f"There is no {what} {name}.{hint} Known: {', '.join(known)}."
