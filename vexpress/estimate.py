"""What a render will need, told before it starts."""

BITS_PER_PIXEL, AT_CRF = 0.2, 23  # of H.264; clips of talking heads have a third of it
HALVED_BY = 6  # steps of CRF


def video_bytes(frames: int, width: int, height: int, crf: int) -> int:
    return round(frames * width * height * BITS_PER_PIXEL * 2 ** ((AT_CRF - crf) / HALVED_BY) / 8)


def in_words(seconds: float) -> str:
    """45 s, 12 min, 3 h 20 min"""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def in_bytes(number: float) -> str:
    """730 MB, 1.2 GB"""
    return f"{number / 1e6:.0f} MB" if number < 999.5e6 else f"{number / 1e9:.1f} GB"
