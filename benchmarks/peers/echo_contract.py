"""What every peer does alike: the reply of our own server, the ready line, the limits.

Peers are run as scripts, so this module is found beside them.
"""

from random import random

HOST = "127.0.0.1"
BACKLOG = 4096
MAX_MESSAGE_BYTES = 8 * 1024 * 1024


def text_reply(message: str) -> str:
    return f"{message} {int(random() * 1_000_000)}"


def binary_reply(message: bytes) -> bytes:
    return message + b" %d" % int(random() * 1_000_000)


def announce(port: int) -> None:
    """Print the line that says where this peer listens, as our own server does."""
    print(f"ready ws=ws://{HOST}:{port}/", flush=True)
