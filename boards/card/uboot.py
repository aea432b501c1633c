"""Scripts for U-Boot, as its tool mkimage makes them."""

import struct
import zlib

MAGIC = 0x27051956
# Linux, 64-bit ARM, script, not compressed.
KIND = bytes([5, 22, 6, 0])


def script(text: str) -> bytes:
    """A legacy image of U-Boot (include/image.h there): header with checksums, the length of the one script, the script."""
    data = struct.pack(">II", len(text), 0) + text.encode()

    def header(checksum: int) -> bytes:
        # No date, and no addresses, which scripts have no use for.
        numbers = struct.pack(">IIIIIII", MAGIC, checksum, 0, len(data), 0, 0, zlib.crc32(data))
        return numbers + KIND + b"bifocal".ljust(32, b"\0")

    return header(zlib.crc32(header(0))) + data
