"""A folder to a filled store."""

from .build import BuildOptions, build
from .compare import CompareOptions, compare_encoders
from .first import first_photos
from .plan import Known, Plan, plan
from .report import Report
from .walk import Found, Passed, WalkOptions, walk

__all__ = [
    "BuildOptions",
    "CompareOptions",
    "Found",
    "Known",
    "Passed",
    "Plan",
    "Report",
    "WalkOptions",
    "build",
    "compare_encoders",
    "first_photos",
    "plan",
    "walk",
]
