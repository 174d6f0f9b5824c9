"""The decoders that are checked: trained on digits, the user's own, and random ones."""

from verification.decoders.subjects import (
    Subject,
    UsageError,
    check_device,
    converted,
    digits_decoder,
    user_decoder,
)

__all__ = ["Subject", "UsageError", "check_device", "converted", "digits_decoder", "user_decoder"]
