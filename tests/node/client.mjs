// Bare pusher-js for the harness: no Echo, and no Django where the npm server library signs.

import Pusher from "pusher-js";
import Pusher7 from "pusher-js-7";
import PusherServer from "pusher";
import nacl from "tweetnacl";

const LIBRARIES = { 7: Pusher7, 8: Pusher };

/** Have a tab tell whatever its pusher-js comes to know by itself. */
export function follow(tab) {
  const { connection, user } = tab.pusher;
  connection.bind("state_change", ({ previous, current }) => tab.tell("state", { previous, current }));
  connection.bind("error", (error) => tab.tell("error", { error }));
  connection.bind("connecting_in", (seconds) => tab.tell("connecting_in", { seconds }));
  user.bind_global((name, data) => tab.tell("user", { name, data }));
  user.watchlist.bind_global((name, data) => tab.tell("watchlist", { name, data }));
  connection.bind("message", ({ event, channel }) => {
    if (event === "pusher:ping" || event === "pusher:pong") tab.tell("beat", { name: event });
    // The user passes on what others send, but not that its own channel was entered.
    const own = channel?.startsWith("#server-to-user-");
    if (own && event === "pusher_internal:subscription_succeeded") tab.tell("own", { channel });
  });
}

/** One pusher-js and whatever it comes to know. */
export class Client {
  constructor(tell, { version, options, signer }) {
    this.tell = tell;
    this.followed = new WeakSet();
    const signed = signer ? signedBy(signer, this) : {};
    this.pusher = new LIBRARIES[version](options.key, { nacl, ...signed, ...options });
    follow(this);
  }

  /** The channel, told of from its first frame on. */
  subscribe(name) {
    const channel = this.pusher.subscribe(name);
    if (!this.followed.has(channel)) {
      this.followed.add(channel);
      channel.bind_global((event, data) => this.tell("event", { channel: name, name: event, data }));
    }
    return channel;
  }

  close() {
    this.tell = () => {};
    this.pusher.disconnect();
  }
}

/**
 * Both handlers, as an application's back end answers them. With more than one master key
 * each authorization takes the next, and the last one stays.
 */
function signedBy({ application, masters, member, user, forged }, client) {
  const keys = [...masters];
  const forgery = `${application.key}:${"0".repeat(64)}`;
  const server = () =>
    new PusherServer({
      appId: application.app_id,
      key: application.key,
      secret: application.secret,
      encryptionMasterKeyBase64: keys.length > 1 ? keys.shift() : keys[0],
    });
  const channelHandler = ({ socketId, channelName }, callback) => {
    client.tell("authorized", { channel: channelName });
    const data = channelName.startsWith("presence-") ? (member ?? undefined) : undefined;
    const answer = server().authorizeChannel(socketId, channelName, data);
    callback(null, forged.includes(channelName) ? { ...answer, auth: forgery } : answer);
  };
  const userHandler = ({ socketId }, callback) => {
    callback(null, server().authenticateUser(socketId, user));
  };
  return {
    channelAuthorization: { customHandler: channelHandler },
    userAuthentication: { customHandler: userHandler },
  };
}

export const verbs = {
  subscribe({ channel }, client) {
    client.subscribe(channel);
  },

  unsubscribe({ channel }, client) {
    client.pusher.unsubscribe(channel);
  },

  // A listener for everything is not told who sent it, one for a name is.
  bind({ channel, name }, client) {
    const told = (data, metadata) => client.tell("told", { channel, name, data, metadata });
    client.pusher.channel(channel).bind(name, told);
  },

  trigger({ channel, name, data }, client) {
    return client.pusher.channel(channel).trigger(name, data);
  },

  signin(_, client) {
    client.pusher.signin();
  },

  whoami(_, client) {
    const { connection, user } = client.pusher;
    return { state: connection.state, socketId: connection.socket_id, user: user.user_data };
  },

  members({ channel }, client) {
    const { members, count, me } = client.pusher.channel(channel).members;
    return { members, count, me };
  },

  subscriptionCount({ channel }, client) {
    return client.pusher.channel(channel).subscriptionCount ?? null;
  },

  connect(_, client) {
    client.pusher.connect();
  },
};
