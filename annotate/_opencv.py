"""OpenCV on one thread a call, as in `preprocess`: photos are dealt out to threads, and its own pool would fight with theirs."""

from __future__ import annotations

import cv2

cv2.setNumThreads(1)

__all__ = ["cv2"]
