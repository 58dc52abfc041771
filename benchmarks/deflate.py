"""Compress and inflate as permessage-deflate has it (RFC 7692), by hand.

The driver and the target stand on picows, which has no compression. Messages of theirs never refer
to earlier ones, which every sender may do without; those of the other end may, if the two have not
agreed that they don't.
"""

import functools
import json
import random
import zlib

NAME = "permessage-deflate"
#: What browsers offer.
OFFER = f"{NAME}; client_max_window_bits"
HEADER = "Sec-WebSocket-Extensions"
_TAIL = b"\x00\x00\xff\xff"
_WORDS = "order item price total name street city state note open paid sent late new old red blue"


def has_agreed(answer: str | None) -> bool:
    return answer is not None and answer.partition(";")[0].strip() == NAME


def window_bits(answer: str, whose: str) -> int:
    """What the server's answer allows the `client` or the `server` for its window."""
    for part in answer.split(";"):
        name, _, value = part.strip().partition("=")
        if name == f"{whose}_max_window_bits" and value:
            return int(value.strip('"'))
    return 15


def deflated(message: bytes, bits: int = 15) -> bytes:
    compressor = zlib.compressobj(wbits=-bits)
    return (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(_TAIL)]


#: The same, for messages that are sent again and again.
kept_deflated = functools.lru_cache(maxsize=1024)(deflated)


class Inflater:
    """Inflates the messages of one sender, one after the other."""

    def __init__(self, keeps_context: bool) -> None:
        self.keeps_context = keeps_context
        self.stream = zlib.decompressobj(wbits=-15)

    def __call__(self, payload: bytes) -> bytes:
        if not self.keeps_context:
            self.stream = zlib.decompressobj(wbits=-15)
        return self.stream.decompress(payload + _TAIL)


@functools.cache
def json_message(index: int, size_bytes: int) -> bytes:
    """Something like what an API sends, of exactly that size; the same for the same number."""
    source, words = random.Random(index), _WORDS.split()
    items: list[dict[str, object]] = []
    while True:
        items.append(
            {
                "id": source.randrange(10**9),
                "name": " ".join(source.choices(words, k=3)),
                "price": round(source.uniform(1, 1000), 2),
                "amount": source.randrange(1, 20),
                "paid": source.random() < 0.5,
            }
        )
        document = {"socket": index, "items": items, "note": ""}
        missing = size_bytes - len(json.dumps(document))
        if missing < 0:
            items.pop()
            document["note"] = ""
            missing = size_bytes - len(json.dumps(document))
            document["note"] = "".join(source.choices("abcdefghijklmnopqrstuvwxyz ", k=missing))
            return json.dumps(document).encode()
