// Pages for pytest: Echo and pusher-js as they come from npm, driven over stdin and stdout.
//
// What is said is told in lines.mjs. It decides nothing and judges nothing; that is the
// business of the tests.

import Echo from "laravel-echo";
import Pusher from "pusher-js";
import PusherServer from "pusher";
import nacl from "tweetnacl";
import { Client, follow, verbs as clientVerbs } from "./client.mjs";
import { followMembers, pageVerbs, pages, say, serve } from "./lines.mjs";

const teller = (page) => (event, facts) => say({ page, event, at: performance.now(), ...facts });

/** One browser tab: an Echo and the channels it joined. */
class Page {
  constructor(name, options) {
    this.known = new WeakSet();
    this.tell = teller(name);
    // Echo keeps its default headers in one object for all instances: give each its own.
    const own = { auth: { headers: {} }, userAuthentication: { headers: {} } };
    this.echo = new Echo({ ...own, ...options, Pusher, nacl });
    this.pusher = this.echo.connector.pusher;
    follow(this);
  }

  /** The channel, entered by its first use: later would be too late to hear that it worked. */
  channel(kind, name) {
    const channel = this.echo[kind](name);
    if (!this.known.has(channel)) {
      this.known.add(channel);
      this.follow(channel, kind, name);
    }
    return channel;
  }

  follow(channel, kind, name) {
    channel.subscribed(() => this.tell("subscribed", { kind, name }));
    channel.error((error) => this.tell("refused", { kind, name, error }));
    if (kind === "join") {
      followMembers(this, channel, name);
    }
  }

  close() {
    this.tell = () => {};
    this.echo.disconnect();
  }
}

const verbs = {
  ...clientVerbs,
  ...pageVerbs,

  openClient({ page, ...how }) {
    pages.set(page, new Client(teller(page), how));
  },

  open({ page, options }) {
    pages.set(page, new Page(page, options));
  },

  join({ kind, name }, page) {
    page.channel(kind, name);
  },

  listen({ kind, name, as }, page) {
    page.channel(kind, name).listen(as, (data) => page.tell("heard", { name, as, data }));
  },

  listenToAll({ kind, name }, page) {
    page.channel(kind, name).listenToAll((as, data) => page.tell("heard", { name, as, data }));
  },

  stopListening({ kind, name, as }, page) {
    page.channel(kind, name).stopListening(as);
  },

  notification({ kind, name }, page) {
    page.channel(kind, name).notification((data) => page.tell("notified", { name, data }));
  },

  listenForWhisper({ kind, name, as }, page) {
    // pusher-js alone passes on who it was; Echo's callback gets it as the second argument.
    const told = (data, metadata) => page.tell("whisper", { name, as, data, metadata });
    page.channel(kind, name).listenForWhisper(as, told);
  },

  whisper({ kind, name, as, data }, page) {
    page.channel(kind, name).whisper(as, data);
  },

  leave({ name }, page) {
    page.echo.leave(name);
  },

  leaveChannel({ name }, page) {
    page.echo.leaveChannel(name);
  },

  frame({ frame }, page) {
    // Past the library's own manners, as a forger would.
    page.pusher.connection.connection.send(JSON.stringify(frame));
  },

  async echo(_, page) {
    const { connection } = page.pusher.connection;
    await new Promise((done) => {
      const heard = ({ event }) => {
        if (event === "pusher:pong") {
          connection.unbind("message", heard);
          done();
        }
      };
      connection.bind("message", heard);
      connection.send_event("pusher:ping", {});
    });
  },

  status(_, page) {
    return page.echo.connectionStatus();
  },

  // The server library of npm, one method a call.
  async sdk({ options, method, args }) {
    try {
      const answer = await new PusherServer(options)[method](...args);
      return { status: answer.status, body: await answer.text() };
    } catch (error) {
      return { error: error.name, message: error.message, status: error.status, body: error.body };
    }
  },
};

await serve(verbs);
process.exit(0);
