// Artillery times replies over HTTP and Socket.IO, but not over WebSocket: these two steps around
// each message do, into a histogram of its own.
module.exports = { sending, answered };

function sending(context, events, next) {
  context.vars.sentAt = process.hrtime.bigint();
  next();
}

function answered(context, events, next) {
  const took = process.hrtime.bigint() - context.vars.sentAt;
  events.emit("histogram", "script.reply_ms", Number(took) / 1e6);
  next();
}
