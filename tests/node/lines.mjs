// How a harness talks with pytest, whatever client it drives: JSON, one object a line.
//
// In: {id, do, page?, ...}. Out: {id, result} or {id, failure} for each of them, and
// {page, event, ...} for whatever a page comes to know by itself.

import { createInterface } from "node:readline";

export const pages = new Map();

export const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

/** What any page can do that has an Echo. */
export const pageVerbs = {
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

/** Do what is asked until nobody asks any more. */
export async function serve(verbs) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { id, ...message } = JSON.parse(line);
    Promise.resolve()
      .then(() => verbs[message.do](message, pages.get(message.page)))
      .then((result) => say({ id, result: result ?? null }))
      .catch((error) => say({ id, failure: String(error.stack ?? error) }));
  }
}

/** Let `page` tell who comes and goes in a presence channel. */
export function followMembers(page, channel, name) {
  channel.here((members) => page.tell("here", { name, members }));
  channel.joining((member) => page.tell("joining", { name, member }));
  channel.leaving((member) => page.tell("leaving", { name, member }));
}
