// k6: a few virtual users, each with many sockets on its event loop, because a virtual user
// per socket costs megabytes. Every reply is checked against the message it answers.
import exec from "k6/execution";
import { WebSocket } from "k6/websockets";

const url = __ENV.TARGET;
const sockets = Number(__ENV.SOCKETS);
const users = Number(__ENV.USERS);
const holdMs = Number(__ENV.HOLD_S) * 1000;
const isClosedLoop = __ENV.LOOP === "closed";

export const options = {
  scenarios: {
    echo: { executor: "per-vu-iterations", vus: users, iterations: 1, maxDuration: "10m" },
  },
};

export default function () {
  for (let index = exec.vu.idInTest - 1; index < sockets; index += users) {
    converse(index);
  }
}

function converse(index) {
  const socket = new WebSocket(url);
  const message = String(index).padStart(16, "0");
  const say = () => socket.send(message);
  socket.onopen = () => {
    setTimeout(isClosedLoop ? say : () => setInterval(say, 1000), holdMs);
  };
  socket.onmessage = (event) => {
    if (!event.data.startsWith(`${message} `)) {
      exec.test.abort(`wrong reply: ${event.data}`);
    } else if (isClosedLoop) {
      say();
    }
  };
}
