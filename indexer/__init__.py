"""A folder to a filled store."""

from .build import BuildOptions, build
from .plan import Known, Plan, plan
from .report import Report
from .walk import Found, Passed, WalkOptions, walk

__all__ = ["BuildOptions", "Found", "Known", "Passed", "Plan", "Report", "WalkOptions", "build", "plan", "walk"]
