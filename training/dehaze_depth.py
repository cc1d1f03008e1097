"""Depth for photos that have none: rooms, ramps and smooth fields, with nearer things in front that follow the photo's own edges."""

from __future__ import annotations

import cv2
import numpy as np


def depth_map(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Float32["height width"] in (0, 1], the farthest point at 1: as RESIDE divides NYU's depth by each picture's maximum."""
    height, width = labels.shape
    kind = random.choice(3, p=(0.55, 0.3, 0.15))
    depth = (room, ramp, field)[kind](height, width, random)
    if random.random() < 0.8:  # things: regions of the picture that stand in front of their background
        nearer = np.where(random.random(labels.max() + 1) < 0.5, 1.0, random.uniform(0.45, 1.0, labels.max() + 1))
        depth = depth * nearer[labels]
    for _ in range(random.integers(0, 3)):
        depth = np.where(blob(height, width, random), depth * random.uniform(0.5, 1.0), depth)
    return (depth / depth.max()).astype(np.float32)


def regions(photo: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Int["height width"]: the photo in 6 to 14 patches of like colour and place (k-means)."""
    height, width = photo.shape[:2]
    lab = cv2.cvtColor(cv2.GaussianBlur(photo, (0, 0), 1.5), cv2.COLOR_RGB2LAB).astype(np.float32)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    weight = random.uniform(80, 200) / max(height, width)
    points = np.dstack([lab, rows * weight, columns * weight]).reshape(-1, 5)
    count = int(random.integers(6, 15))
    centres = points[random.choice(len(points), count, replace=False)]
    sample = points[random.choice(len(points), 1500)]
    for _ in range(6):
        nearest = nearest_of(sample, centres)
        centres = np.stack([sample[nearest == k].mean(0) if (nearest == k).any() else centres[k] for k in range(count)])
    return cv2.medianBlur(nearest_of(points, centres).reshape(height, width).astype(np.uint8), 5).astype(np.intp)


def nearest_of(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Int["point"]: the nearest centre of each."""
    return ((centres**2).sum(1) - 2 * points @ centres.T).argmin(1)


def room(height: int, width: int, random: np.random.Generator) -> np.ndarray:
    """Depth inside a box, seen by a camera with a horizontal field of 57 degrees (a Kinect's), turned and tilted at random."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    focal = 0.5 * max(height, width) / np.tan(np.radians(57 / 2))
    x, y, z = (columns - width / 2) / focal, (rows - height / 2) / focal, np.ones((height, width), np.float32)
    yaw, pitch = np.radians(random.uniform(-40, 40)), np.radians(random.uniform(-5, 25))
    y, z = y * np.cos(pitch) + z * np.sin(pitch), z * np.cos(pitch) - y * np.sin(pitch)
    x, z = x * np.cos(yaw) + z * np.sin(yaw), z * np.cos(yaw) - x * np.sin(yaw)
    left, right, up, down, front = random.uniform((0.8, 0.8, 1.0, 1.1, 2.0), (3.5, 3.5, 1.6, 1.7, 7.0))  # metres
    away = [np.where(x > 0, right, -left) / unzero(x), np.where(y > 0, down, -up) / unzero(y), np.where(z > 0, front, -1.0) / unzero(z)]
    return np.minimum.reduce(away)


def unzero(value: np.ndarray) -> np.ndarray:
    """The same without zeros."""
    return np.where(np.abs(value) < 1e-4, 1e-4, value)


def ramp(height: int, width: int, random: np.random.Generator) -> np.ndarray:
    """A plane; more often than not its far end is up."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    angle = random.normal(0, 0.7)
    along = np.sin(angle) * columns / width - np.cos(angle) * rows / height
    along = (along - along.min()) / np.ptp(along)
    near = random.uniform(0.1, 0.7)
    return near + (1 - near) * along ** random.uniform(0.5, 2.0)


def field(height: int, width: int, random: np.random.Generator) -> np.ndarray:
    """A smooth random surface."""
    grid = random.random((random.integers(2, 6), random.integers(2, 6))).astype(np.float32)
    surface = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    near = random.uniform(0.1, 0.7)
    return near + (1 - near) * (surface - surface.min()) / np.ptp(surface)


def blob(height: int, width: int, random: np.random.Generator) -> np.ndarray:
    """Bool["height width"]: a rectangle or ellipse anywhere."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    far_x = np.abs(columns / width - random.random()) / random.uniform(0.05, 0.35)
    far_y = np.abs(rows / height - random.random()) / random.uniform(0.05, 0.35)
    return np.maximum(far_x, far_y) < 1 if random.random() < 0.5 else far_x**2 + far_y**2 < 1
