"""Import HdrHistogram without what Python 3.14 warns of in it.

hdrhistogram 0.10.8 declares structures with `_pack_` and without `_layout_`, which is deprecated
until Python 3.19. A program that makes errors of warnings could not import us.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Due to '_pack_'", DeprecationWarning)
    from hdrh.histogram import HdrHistogram

__all__ = ["HdrHistogram"]
