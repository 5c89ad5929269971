// What C++ could do at best: the publish of uWebSockets.js' own topics, behind as much of
// Pusher's protocol as the load needs. Nothing is verified, counted or limited, nobody is told
// who else is there; a server that people can use cannot be cheaper than this.

const uws = require("uWebSockets.js");

// Where there is no binary for this machine, the package falls back to slow JavaScript.
if (!Object.keys(require.cache).some((file) => file.endsWith(".node"))) {
  console.error("uWebSockets.js has no binary for this machine and this node");
  process.exit(1);
}

const port = Number(process.argv[2]);
const text = new TextDecoder();
let sockets = 0;

function frame(event, channel, data) {
  return JSON.stringify({ event, channel, data });
}

function answer(response, status) {
  response.cork(() => {
    response.writeStatus(status).writeHeader("Content-Type", "application/json").end("{}");
  });
}

const server = uws.App();

server.ws("/app/:key", {
  compression: uws.DISABLED,
  idleTimeout: 0,
  maxBackpressure: 1 << 20,
  closeOnBackpressureLimit: true,
  open(socket) {
    const data = JSON.stringify({ socket_id: `${++sockets}.1`, activity_timeout: 120 });
    socket.send(frame("pusher:connection_established", undefined, data));
  },
  message(socket, message) {
    const { event, data } = JSON.parse(text.decode(message));
    if (event === "pusher:subscribe") {
      socket.subscribe(data.channel);
      socket.send(frame("pusher_internal:subscription_succeeded", data.channel, "{}"));
    } else if (event === "pusher:ping") {
      socket.send(frame("pusher:pong", undefined, "{}"));
    }
  },
});

server.post("/apps/:app/events", (response) => {
  let body = "";
  response.onAborted(() => {});
  response.onData((chunk, last) => {
    body += text.decode(chunk, { stream: !last });
    if (!last) return;
    const { name, channels, data } = JSON.parse(body);
    for (const channel of channels) server.publish(channel, frame(name, channel, data));
    answer(response, "200 OK");
  });
});

server.listen("127.0.0.1", port, (listening) => {
  if (!listening) process.exit(1);
});
