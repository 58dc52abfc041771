"""websocket-client, in tests written for unittest: pytest runs them, and gives them the fixture."""

import unittest

import pytest

websocket = pytest.importorskip("websocket", reason="websocket-client is not installed")


class TestReconnecting(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def take_server(self, ws_server):
        self.server = ws_server

    def connect(self, path):
        client = websocket.create_connection(self.server.path(path), timeout=5)
        self.addCleanup(client.shutdown)
        return client

    def test_a_reset_is_an_error(self):
        client = self.connect("/drop/1")
        client.send("hello")
        client.recv()
        with self.assertRaises((ConnectionError, websocket.WebSocketConnectionClosedException)):
            client.recv()

    def test_a_close_frame_comes_with_its_code(self):
        client = self.connect("/close/4001/try%20again")
        client.send("hello")
        opcode, data = client.recv_data(control_frame=True)
        self.assertEqual(opcode, websocket.ABNF.OPCODE_CLOSE)
        self.assertEqual(data, (4001).to_bytes(2, "big") + b"try again")
        self.server.wait_closed(1)
        self.assertEqual(self.server.connections[0].close_code, 4001)

    def test_a_refusal_has_its_status(self):
        with self.assertRaises(websocket.WebSocketBadStatusException) as refused:
            self.connect("/status/503")
        self.assertEqual(refused.exception.status_code, 503)

    def test_a_second_connection_after_the_first_was_cut(self):
        first = self.connect("/drop/0")
        with self.assertRaises((ConnectionError, websocket.WebSocketConnectionClosedException)):
            first.recv()
        second = self.connect("/plain")
        second.send("again")
        self.assertEqual(second.recv(), "again")
        self.assertEqual([c.path for c in self.server.connections], ["/drop/0", "/plain"])
