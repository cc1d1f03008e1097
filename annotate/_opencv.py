"""OpenCV on one thread a call, as `preprocess` has set it."""

from __future__ import annotations

from preprocess import cv2

__all__ = ["cv2"]
