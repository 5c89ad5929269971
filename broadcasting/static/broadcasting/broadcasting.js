/*
 * The glue between Django and Laravel Echo, for pages that use {% echo_script %}.
 *
 * Three things that Echo leaves to the page:
 *   1. window.Echo, made from the configuration that the template tag wrote into the page;
 *   2. X-Socket-ID on same-origin fetch() and htmx requests, so that to_others() knows the tab
 *      (Echo itself covers axios, jQuery, Vue and Turbo);
 *   3. channel authorizations that share one request, and sign-ins; both survive a server that is
 *      restarting.
 *
 * Plain ES2022, used as it is. It knows Echo's and pusher-js's public names only, so that both
 * can be replaced by another version. What the page may use: window.Echo, window.EchoClass,
 * window.Broadcasting and the events broadcasting:init and broadcasting:ready on document.
 */
(() => {
  "use strict";

  const CONFIGURATION = "broadcasting-config";
  const SOCKET_ID = /^\d+\.\d+$/;

  // Turbo and htmx may run the scripts of a page again; a second Echo would be a second socket,
  // and a second wrapper around fetch. Echo's own file has just replaced window.Echo, so give
  // back the instance.
  if (window.Broadcasting) {
    if (window.Broadcasting.echo) window.Echo = window.Broadcasting.echo;
    return;
  }

  // -- 1. X-Socket-ID ------------------------------------------------------------------------

  /** The id of this tab's socket, or undefined while it has none. */
  function socketId() {
    const id = typeof window.Echo?.socketId === "function" ? window.Echo.socketId() : undefined;
    // Echo's null broadcaster answers with a word that no server would accept.
    return SOCKET_ID.test(id ?? "") ? id : undefined;
  }

  /** Whether url, relative or not, stays on this site. */
  function isSameOrigin(url) {
    try {
      const { protocol, host } = new URL(url, document.baseURI);
      return protocol === location.protocol && host === location.host;
    } catch {
      return false;
    }
  }

  const nativeFetch = window.fetch;

  window.fetch = async function fetch(input, init) {
    const id = socketId();
    const url = String(input?.url ?? input);
    // Another origin gets its request untouched: a header of ours would cost a CORS preflight,
    // and the id is none of its business.
    if (id === undefined || !isSameOrigin(url)) return nativeFetch.call(window, input, init);
    // The browser itself merges input and init, whatever shapes they have.
    const request = new Request(input, init);
    if (!request.headers.has("X-Socket-ID")) request.headers.set("X-Socket-ID", id);
    return nativeFetch.call(window, request);
  };

  document.addEventListener("htmx:configRequest", (event) => {
    const id = socketId();
    const { headers, path } = event.detail;
    if (id === undefined || !isSameOrigin(path ?? "")) return;
    if (Object.keys(headers).some((name) => name.toLowerCase() === "x-socket-id")) return;
    headers["X-Socket-ID"] = id;
  });

  // -- 2. Channel authorization and sign-in --------------------------------------------------

  const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

  /** An answer that brings no signature. status 0: there was no answer at all. */
  const failure = (status, message) => ({ status, data: { message }, signed: false });

  /** Post `form` once; return { status, data, wait, signed }, whatever happens. */
  async function post(endpoint, form, headers, timeoutMilliseconds) {
    let response;
    let data;
    try {
      response = await window.fetch(endpoint, {
        method: "POST",
        body: form,
        headers: { Accept: "application/json", ...headers },
        signal: AbortSignal.timeout(timeoutMilliseconds),
      });
      data = await response.text();
    } catch (error) {
      return failure(0, `${endpoint} did not answer (${error.message})`);
    }
    const { status } = response;
    if (response.redirected) {
      // fetch() followed it, usually to a login page that looks like success.
      return failure(302, `${endpoint} redirected to ${response.url}`);
    }
    try {
      data = JSON.parse(data);
    } catch {
      data = undefined;
    }
    if (status === 200 && (typeof data !== "object" || data === null)) {
      return failure(200, `${endpoint} did not answer with a JSON object`);
    }
    const wait = retryAfter(response.headers.get("Retry-After"));
    return { status, data, wait, signed: status === 200 };
  }

  /** Whether the connection was made anew since `socket` was asked for; pusher-js asks again then. */
  function isGone(pusher, socket) {
    const current = pusher()?.connection?.socket_id;
    return current !== undefined && current !== socket;
  }

  /** Wait before attempt number `attempt` + 1, as long as the server asked at least. */
  function backOff(milliseconds, attempt, asked) {
    // Half of it is chance: after a restart every browser of the site comes at once.
    const backoff = milliseconds * 2 ** (attempt - 1) * (0.5 + Math.random() / 2);
    return pause(Math.max(asked, backoff));
  }

  async function tryToRefresh(refresh) {
    try {
      await refresh();
    } catch (error) {
      console.error("broadcasting: refresh() failed", error);
    }
  }

  /** Refuse in pusher-js's own way, with the status that it adds itself to answers it fetched. */
  function refuse({ what, status, message = "no reason was given", event, target, callback }) {
    // Nobody may have bound .error(), and what stays silent is hard to find.
    console.warn(`broadcasting: ${what} was not authorized (${status || "no answer"}): ${message}`);
    // pusher-js copies the status into the event only from a class that it does not export,
    // so it is added on the event's way to the listeners.
    const addStatus = (name, data) => {
      if (name === event) data.status = status;
    };
    target?.bind_global(addStatus);
    settle({ callback }, Object.assign(new Error(message), { status }), null);
    target?.unbind_global(addStatus);
  }

  /**
   * Return pusher-js's `channelAuthorization` option.
   *
   * A page that joins seven channels, and every page after a reconnect, asks for them within a
   * few milliseconds; they are collected for `batchMilliseconds` and posted as one form.
   *
   *   endpoint             where to post
   *   pusher               () => the pusher-js client, for its socket id and channels
   *   headers, params      () => extra headers and form fields, read at every attempt
   *   refresh              async () => ..., called once after a 401, before the second attempt
   *   batchMilliseconds    15
   *   batchSize            50, the largest number of channels in one form
   *   tries                4, for lost connections, 429 and 5xx
   *   backoffMilliseconds  500, doubled after every attempt
   *   timeoutMilliseconds  15000, for one attempt
   */
  function channelAuthorization({
    endpoint,
    pusher = () => undefined,
    headers = () => ({}),
    params = () => ({}),
    refresh = () => undefined,
    batchMilliseconds = 15,
    batchSize = 50,
    tries = 4,
    backoffMilliseconds = 500,
    timeoutMilliseconds = 15_000,
  }) {
    let waiting = [];

    function customHandler({ socketId: socket, channelName: channel }, callback) {
      if (waiting.length === 0) setTimeout(flush, batchMilliseconds);
      waiting.push({ socket, channel, callback });
    }

    function flush() {
      const sockets = new Map();
      for (const request of waiting) {
        if (!sockets.has(request.socket)) sockets.set(request.socket, []);
        sockets.get(request.socket).push(request);
      }
      waiting = [];
      for (const [socket, requests] of sockets) {
        while (requests.length > 0) authorize(socket, requests.splice(0, batchSize));
      }
    }

    async function authorize(socket, requests, attempt = 1, refreshed = false) {
      const answer = await ask(socket, [...new Set(requests.map((one) => one.channel))]);
      // Signed for a socket that is gone: pusher-js would send it on the new one, where it is an
      // error.
      if (isGone(pusher, socket)) return;
      const unauthenticated = [];
      const later = [];
      for (const request of requests) {
        const { status, data, wait, signed = status === 200 } = answer(request.channel);
        if (signed) settle(request, null, data);
        else if (status === 401 && !refreshed) unauthenticated.push(request);
        else if (isPassing(status) && attempt < tries) later.push({ request, wait });
        else {
          refuse({
            what: request.channel,
            status,
            message: data?.message,
            event: "pusher:subscription_error",
            target: pusher()?.channel(request.channel),
            callback: request.callback,
          });
        }
      }
      if (unauthenticated.length > 0) {
        await tryToRefresh(refresh);
        authorize(socket, unauthenticated, attempt, true);
      }
      if (later.length > 0) {
        const asked = Math.max(...later.map(({ wait = 0 }) => wait));
        await backOff(backoffMilliseconds, attempt, asked);
        const again = later.map(({ request }) => request);
        authorize(socket, again, attempt + 1, refreshed);
      }
    }

    /** Ask for `channels` in one form; return a function from a channel to its answer. */
    async function ask(socket, channels) {
      const form = new URLSearchParams({ ...params(), socket_id: socket });
      const many = channels.length > 1;
      for (const channel of channels) form.append(many ? "channel_name[]" : "channel_name", channel);
      const answer = await post(endpoint, form, headers(), timeoutMilliseconds);
      if (!many || !answer.signed) return () => answer;
      return (channel) => answer.data[channel] ?? failure(403, `${endpoint} left this channel out`);
    }

    return { customHandler };
  }

  /**
   * Return pusher-js's `userAuthentication` option; the options are those of
   * channelAuthorization(), without batches.
   */
  function userAuthentication({
    endpoint,
    pusher = () => undefined,
    headers = () => ({}),
    params = () => ({}),
    refresh = () => undefined,
    tries = 4,
    backoffMilliseconds = 500,
    timeoutMilliseconds = 15_000,
  }) {
    async function customHandler({ socketId: socket }, callback) {
      await authenticate(socket, callback);
    }

    async function authenticate(socket, callback, attempt = 1, refreshed = false) {
      const form = new URLSearchParams({ ...params(), socket_id: socket });
      const answer = await post(endpoint, form, headers(), timeoutMilliseconds);
      if (isGone(pusher, socket)) return;
      const { status, data, wait = 0, signed } = answer;
      if (signed) {
        settle({ callback }, null, data);
      } else if (status === 401 && !refreshed) {
        await tryToRefresh(refresh);
        await authenticate(socket, callback, attempt, true);
      } else if (isPassing(status) && attempt < tries) {
        await backOff(backoffMilliseconds, attempt, wait);
        await authenticate(socket, callback, attempt + 1, refreshed);
      } else {
        refuse({
          what: "the sign-in",
          status,
          message: data?.message,
          event: "pusher:signin_error",
          target: pusher()?.user,
          callback,
        });
      }
    }

    return { customHandler };
  }

  /** Whether the same question may be answered differently in a moment. */
  function isPassing(status) {
    return status === 0 || status === 429 || status >= 500;
  }

  /** Return the milliseconds that a Retry-After asks for, in seconds or as a date; a minute at most. */
  function retryAfter(text) {
    const seconds = Number(text);
    const milliseconds = Number.isNaN(seconds) ? Date.parse(text) - Date.now() : seconds * 1000;
    return milliseconds > 0 ? Math.min(milliseconds, 60_000) : undefined;
  }

  function settle({ callback }, error, data) {
    try {
      callback(error, data);
    } catch (problem) {
      // A listener of one channel must not cost the others of the form their answer.
      reportError(problem);
    }
  }

  // -- 3. window.Echo ------------------------------------------------------------------------

  /** Return Echo's options for what the template tag wrote. */
  function echoOptions(config, current) {
    // Without SERVER.PUBLIC_URL the sockets live where the page does, and the address bar knows
    // that better than a server behind proxies.
    const here = !config.fixed && location.host !== "";
    const https = here ? location.protocol === "https:" : config.scheme === "https";
    const port = Number(here ? location.port : config.port) || (https ? 443 : 80);
    const options = {
      broadcaster: "reverb",
      key: config.key,
      wsHost: here ? location.hostname : config.host,
      wsPort: port,
      wssPort: port,
      wsPath: config.path,
      forceTLS: https,
      enabledTransports: ["ws", "wss"],
      namespace: false,
      authEndpoint: config.authEndpoint,
      csrfToken: config.csrfToken,
      // Echo writes headers into these objects; its own defaults are shared by all instances.
      auth: { headers: {} },
      userAuthentication: { endpoint: config.userAuthEndpoint, headers: {} },
    };
    if (config.cluster) {
      Object.assign(options, { broadcaster: "pusher", cluster: config.cluster });
      for (const name of ["wsHost", "wsPort", "wssPort", "wsPath"]) delete options[name];
    }
    const settings = {
      ...config.authorization,
      endpoint: config.authEndpoint,
      pusher: () => current()?.connector.pusher,
      headers: () => current()?.connector.options.auth.headers ?? {},
      params: () => current()?.connector.options.auth.params ?? {},
      refresh: () => window.Broadcasting.refresh?.(),
    };
    options.channelAuthorization = channelAuthorization(settings);
    Object.assign(
      options.userAuthentication,
      userAuthentication({
        ...settings,
        endpoint: config.userAuthEndpoint,
        headers: () => ({
          ...current()?.connector.options.userAuthentication.headers,
          ...current()?.connector.options.auth.headers,
        }),
      }),
    );
    return options;
  }

  function start() {
    const element = document.getElementById(CONFIGURATION);
    if (element === null) return; // A project with a bundler may want the rest of this file only.
    const Echo = window.Echo?.default;
    if (typeof Echo !== "function" || typeof window.Pusher !== "function") {
      console.error("broadcasting: Laravel Echo or pusher-js did not load, so there is no window.Echo");
      return;
    }
    let echo;
    const options = echoOptions(JSON.parse(element.textContent), () => echo);
    // The last chance to change them, for a script that stands before this one.
    document.dispatchEvent(new CustomEvent("broadcasting:init", { detail: { options } }));
    // Echo's browser build is a namespace with the class inside; pages expect Laravel's instance.
    window.EchoClass = Echo;
    echo = window.Echo = new Echo(options);
    window.Broadcasting.echo = echo;
    document.dispatchEvent(new CustomEvent("broadcasting:ready", { detail: { echo } }));
  }

  window.Broadcasting = { channelAuthorization, userAuthentication, echo: null, refresh: null };
  start();
})();
