// Pages for pytest, as tests/node/harness.mjs has them, with Echo over Socket.IO.
//
// One JSON object a line. In: {id, do, page?, ...}. Out: {id, result} or {id, failure} for each
// of them, and {page, event, ...} for whatever a page comes to know by itself.

import { createInterface } from "node:readline";
import Echo from "laravel-echo";
import io from "socket.io-client";

const pages = new Map();
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

/** One browser tab. */
class Page {
  constructor(name, options) {
    this.tell = (event, facts) => say({ page: name, event, ...facts });
    // A connection of its own for each, as tabs have.
    const own = { auth: { headers: {} }, client: io, forceNew: true, transports: ["websocket"] };
    this.echo = new Echo({ ...own, ...options });
    this.socket = this.echo.connector.socket;
    this.socket.on("connect", () => this.tell("connected", {}));
    // Nothing else tells that a channel is entered: the server answers refusals only.
    this.socket.on("subscription_error", (name, error) => this.tell("refused", { name, error }));
  }

  close() {
    this.tell = () => {};
    this.echo.disconnect();
  }
}

const verbs = {
  open({ page, options }) {
    pages.set(page, new Page(page, options));
  },

  join({ kind, name }, page) {
    const channel = page.echo[kind](name);
    if (kind === "join") {
      channel.here((members) => page.tell("here", { name, members }));
      channel.joining((member) => page.tell("joining", { name, member }));
      channel.leaving((member) => page.tell("leaving", { name, member }));
    }
  },

  listen({ kind, name, as }, page) {
    page.echo[kind](name).listen(as, (data) => page.tell("heard", { name, as, data }));
  },

  listenForWhisper({ kind, name, as }, page) {
    page.echo[kind](name).listenForWhisper(as, (data) => page.tell("whisper", { name, data }));
  },

  whisper({ kind, name, as, data }, page) {
    page.echo[kind](name).whisper(as, data);
  },

  leave({ name }, page) {
    page.echo.leave(name);
  },

  socketId(_, page) {
    return page.echo.socketId();
  },

  async post({ url, body }, page) {
    const headers = { "Content-Type": "application/json", "X-Socket-ID": page.echo.socketId() };
    const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
    return { status: answer.status, body: await answer.json() };
  },

  close({ page: name }, page) {
    page?.close();
    pages.delete(name);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, ...message } = JSON.parse(line);
  Promise.resolve()
    .then(() => verbs[message.do](message, pages.get(message.page)))
    .then((result) => say({ id, result: result ?? null }))
    .catch((error) => say({ id, failure: String(error.stack ?? error) }));
}
process.exit(0);
