"""Locust: a user per socket on gevent, with websocket-client. Every reply is checked."""

import os
import time

from locust import User, constant, task
from websocket import create_connection

HOLD_S = float(os.environ["HOLD_S"])
IS_CLOSED_LOOP = os.environ["LOOP"] == "closed"


class Echoer(User):
    # One message a second, as the other generators are asked for, or the next at once.
    wait_time = constant(0 if IS_CLOSED_LOOP else 1)
    opened = 0

    def on_start(self) -> None:
        Echoer.opened += 1
        self.message = f"{Echoer.opened:016d}"
        self.connection = create_connection(os.environ["TARGET"])
        time.sleep(HOLD_S)

    def on_stop(self) -> None:
        self.connection.close()

    @task
    def echo(self) -> None:
        from_s = time.perf_counter()
        self.connection.send(self.message)
        reply = self.connection.recv()
        wrong = not reply.startswith(f"{self.message} ")
        self.environment.events.request.fire(
            request_type="WS",
            name="echo",
            response_time=(time.perf_counter() - from_s) * 1e3,
            response_length=len(reply),
            exception=ValueError("wrong reply") if wrong else None,
        )
