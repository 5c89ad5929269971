// Pages for pytest, as tests/node/harness.mjs has them, with Echo over Socket.IO.

import Echo from "laravel-echo";
import io from "socket.io-client";
import { followMembers, pageVerbs, pages, say, serve } from "../../node/lines.mjs";

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
  ...pageVerbs,

  open({ page, options }) {
    pages.set(page, new Page(page, options));
  },

  join({ kind, name }, page) {
    const channel = page.echo[kind](name);
    if (kind === "join") {
      followMembers(page, channel, name);
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
};

await serve(verbs);
process.exit(0);
