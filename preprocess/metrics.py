"""How near a picture is to a reference: PSNR, SSIM and CIEDE2000. Needs the extra `eval`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError, MissingExtra

if TYPE_CHECKING:
    from .image import RgbImage

# Wang et al. 2004, section III-C: a Gaussian window of 11×11 with a standard deviation of 1.5 (scikit-image cuts it off at 3.5 of them), and the
# covariances of the population.
_SSIM = {"data_range": 255, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "K1": 0.01, "K2": 0.03}
_SHORTEST = 11


@dataclass(frozen=True, slots=True)
class Likeness:
    """`psnr` in dB, infinite for equal pictures; `ssim` at most 1; `ciede2000` a mean colour difference, 0 for equal ones."""

    psnr: float
    ssim: float
    ciede2000: float


class Reference:
    """A clear picture that others are compared with.

    Raises:
        InputError: it is smaller than the SSIM window, 11×11.
        MissingExtra: scikit-image is not installed.
    """

    def __init__(self, pixels: RgbImage) -> None:
        try:
            from skimage import color, metrics
        except ImportError as error:
            raise MissingExtra("PSNR, SSIM and CIEDE2000 need scikit-image: pip install 'pellucid[eval]'") from error
        if min(pixels.shape[:2]) < _SHORTEST:
            raise InputError(
                f"A picture of {pixels.shape[1]}×{pixels.shape[0]} is too small to measure; SSIM looks at {_SHORTEST}×{_SHORTEST} pixels."
            )
        self.pixels = pixels
        self._color: Any = color
        self._metrics: Any = metrics

    @cached_property
    def _lab(self) -> Any:
        return self._color.rgb2lab(self.pixels)

    def compare(self, pixels: RgbImage) -> Likeness:
        """How near these pixels, UInt8["height width 3"], are.

        PSNR is `10 log10(255² / MSE)`, the error over all samples of the three channels. SSIM is that of Wang, Bovik, Sheikh and Simoncelli,
        "Image quality assessment: from error visibility to structural similarity", IEEE TIP 2004, equation 13 and its mean, over pixels where
        the whole window lies inside, for each of R, G and B, and then the mean of the three. It is the usual variant for colour pictures, and what
        RESIDE's figures agree with: the published method reaches 18.00 dB and 0.858 there, and a plain implementation of it 0.866 by this
        variant on 25 of those pictures, but 0.893 by SSIM of the grey picture and 0.929 by that of video luma. CIEDE2000 is the mean
        over pixels of the colour difference of CIE 142-2001 (Sharma, Wu and Dalal 2005), from sRGB by way of CIELAB at D65.

        Raises:
            InputError: the sizes differ.
        """
        if pixels.shape != self.pixels.shape:
            raise InputError(
                f"A picture of the shape {pixels.shape} cannot be compared with one of {self.pixels.shape}. Give both one size."
            )
        error = np.mean(np.square(self.pixels.astype(np.float32) - pixels), dtype=np.float64)
        return Likeness(
            psnr=float(10 * np.log10(255**2 / error)) if error > 0 else float("inf"),
            ssim=float(self._metrics.structural_similarity(self.pixels, pixels, channel_axis=2, **_SSIM)),
            ciede2000=float(np.mean(self._color.deltaE_ciede2000(self._lab, self._color.rgb2lab(pixels)))),
        )
