// k6: the open loop. k6 itself times a handshake, a session and a ping, but no reply: that is
// measured here, on the clock that its scripts have, in whole milliseconds.
import exec from "k6/execution";
import { Counter, Trend } from "k6/metrics";
import { WebSocket } from "k6/websockets";

const url = __ENV.TARGET;
const sockets = Number(__ENV.SOCKETS);
const users = Number(__ENV.USERS);
const messages = Number(__ENV.MESSAGES);

const opened = new Counter("script_opened");
const sent = new Counter("script_sent");
const wrong = new Counter("script_wrong_replies");
const latency = new Trend("script_reply_ms");

export const options = {
  summaryTrendStats: ["avg", "med", "p(95)", "p(99)", "count"],
  scenarios: {
    echo: { executor: "per-vu-iterations", vus: users, iterations: 1, maxDuration: "2m" },
  },
};

export default function () {
  for (let index = exec.vu.idInTest - 1; index < sockets; index += users) {
    converse(index);
  }
}

function converse(index) {
  const socket = new WebSocket(url);
  const sentAt = [];
  let answered = 0;
  let timer;

  function send() {
    socket.send(`${index}-${sentAt.length}`.padEnd(16, "."));
    sent.add(1);
    sentAt.push(Date.now());
    if (sentAt.length === messages) {
      clearInterval(timer);
    }
  }

  socket.onopen = () => {
    opened.add(1);
    // Spread over the second: all open in one moment, and their timers would go off in one.
    setTimeout(() => {
      timer = setInterval(send, 1000);
    }, (index / sockets) * 1000);
  };
  socket.onmessage = (event) => {
    const now = Date.now();
    if (event.data.startsWith(`${index}-${answered}`.padEnd(16, ".") + " ")) {
      latency.add(now - sentAt[answered]);
    } else {
      wrong.add(1);
    }
    answered += 1;
    if (answered === messages) {
      socket.close();
    }
  };
}

export function handleSummary(data) {
  return { stdout: JSON.stringify(data.metrics) };
}
