"""Every error that Pellucid raises on purpose. Each says what, where and the remedy.

```
PellucidError
├── InputError               an argument, name or expression is wrong
│   ├── UnknownName          a component table has no such entry
│   ├── QueryError           a search term cannot be understood
│   ├── FilterError          a `--where` expression is wrong
│   └── SettingsError        a setting is misspelt or out of range
├── ImageError               one photo could not be used; the build goes on
│   ├── ImageVanished        the file is gone, or went away while being read
│   ├── ImageUnreadable      the system refuses the file (permission, device error)
│   ├── ImageUnsupported     not a photo format that we read
│   ├── ImageTooLarge        over the pixel or byte cap
│   └── ImageCorrupt         the file says it is a photo but cannot be decoded
├── FetchError               a picture's address could not be fetched, or must not be
├── MissingExtra             an optional package is not installed
├── WeightsError             model files are missing, damaged or of another shape
└── LibraryError             a library cannot be used
    ├── LibraryNotFound      nothing was indexed there
    ├── LibraryBusy          another build holds it
    ├── LibraryTooNew        written by a newer Pellucid
    ├── LibraryDamaged       its files do not open
    ├── StorageFull          the disk took no more
    └── RecipeMismatch       its vectors were made by another encoder
```
"""

from __future__ import annotations


class PellucidError(Exception):
    """The base of all errors that are meant for people to read."""


class InputError(PellucidError):
    """An argument, name or expression is wrong."""


class UnknownName(InputError):
    """A component table has no such entry."""


class QueryError(InputError):
    """A search term cannot be understood."""


class FilterError(InputError):
    """A `--where` expression is wrong."""


class SettingsError(InputError):
    """A setting is misspelt or out of range."""


class ImageError(PellucidError):
    """One photo could not be used; the build goes on."""


class ImageVanished(ImageError):
    """The file is gone, or went away while being read."""


class ImageUnreadable(ImageError):
    """The system refuses the file: no permission, or a device error."""


class ImageUnsupported(ImageError):
    """Not a photo format that we read."""


class ImageTooLarge(ImageError):
    """Over the pixel or byte cap."""


class ImageCorrupt(ImageError):
    """The file says that it is a photo but cannot be decoded."""


class FetchError(PellucidError):
    """A picture's address could not be fetched, or must not be."""


class MissingExtra(PellucidError):
    """An optional package is not installed; the message holds the install command."""


class WeightsError(PellucidError):
    """Model files are missing, damaged or of another shape."""


class LibraryError(PellucidError):
    """A library cannot be used."""


class LibraryNotFound(LibraryError):
    """Nothing was indexed there."""


class LibraryBusy(LibraryError):
    """Another build holds the library."""


class LibraryTooNew(LibraryError):
    """The library was written by a newer Pellucid."""


class LibraryDamaged(LibraryError):
    """The library's files do not open."""


class StorageFull(LibraryError):
    """The disk took no more; what was written before is kept."""


class RecipeMismatch(LibraryError):
    """The library's vectors were made by another encoder."""
