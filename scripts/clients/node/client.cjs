// Say hello, receive until something ends that, and write in JSON what the user of the client gets.
const WebSocket = require("ws");
const said = [];
const asked = new URL(process.argv[2]).searchParams;
const takes = Number(asked.get("take") ?? 1000);
const client = new WebSocket(process.argv[2]);
const done = () => { console.log(JSON.stringify(said)); process.exit(0); };
client.on("open", () => {
  for (let n = Number(asked.get("send") ?? 1); n > 0; n--) client.send("hello");
  const late = () => { said.push("(no event)"); client.close(); setTimeout(done, 200); };
  setTimeout(late, 500).unref();
});
client.on("message", (data) => {
  if (said.length >= takes) return;
  said.push(data.toString());
  if (said.length === takes) client.close();
});
client.on("error", (error) => said.push(`error: ${error.message}`));
client.on("close", (code, reason) => {
  if (said.length !== takes) said.push(`close ${code}` + (reason.length ? ` “${reason}”` : ""));
  setTimeout(done, 50);
});
