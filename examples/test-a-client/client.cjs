// Say hello, close after the reply, and write in JSON how it ended: what test_node_ws.py runs.
const WebSocket = require("ws");

const seen = {};
const client = new WebSocket(process.argv[2]);

client.on("open", () => client.send("hello"));
client.on("message", (data) => {
  seen.reply = data.toString();
  client.close(1000);
});
client.on("unexpected-response", (request, response) => {
  console.log(JSON.stringify({ status: response.statusCode }));
  request.destroy();
});
client.on("error", () => {}); // A reset: the close event that follows has the code.
client.on("close", (code, reason) => {
  console.log(JSON.stringify({ ...seen, code, reason: reason.toString() }));
});
