/* What every page of the example shares: the state of the connection, and five small tools. */
(() => {
  "use strict";

  const STATES = {
    connected: "Live",
    connecting: "Connecting",
    reconnecting: "Reconnecting",
    offline: "Offline",
  };

  const NEWS_FADES = 8000; // milliseconds

  /** Say something to those who do not see the page change. */
  function announce(text) {
    document.querySelector("[data-announcer]").textContent = text;
  }

  /** Say what went wrong, to everybody; where signing in again would help, offer that. */
  function complain(text, error) {
    const notice = document.querySelector("[data-notice]");
    notice.textContent = error?.signedOut ? "You are signed out. " : text;
    if (error?.signedOut) {
      const link = document.createElement("a");
      link.href = notice.dataset.login;
      link.textContent = "Sign in again";
      notice.append(link);
    }
  }

  /** Tell the visitor what the pottery has to say, for a while. */
  function tell({ number, item }) {
    const news = document.querySelector("[data-news]");
    news.textContent = `Order ${number}: your ${item} is on its way.`;
    clearTimeout(tell.fading);
    tell.fading = setTimeout(() => news.replaceChildren(), NEWS_FADES);
  }

  function watchNews() {
    const { own } = document.body.dataset;
    if (own && typeof window.Echo?.socketId === "function") window.Echo.private(own).notification(tell);
  }

  /** Send a form as it is, with a script's answer in return. Echo's glue adds X-Socket-ID. */
  async function submit(form) {
    const response = await fetch(form.action, {
      method: "POST",
      body: new FormData(form),
      headers: { Accept: "application/json" },
    });
    // Django sends a visitor without a session to its login page, and fetch() follows.
    if (response.redirected || response.status === 403) {
      throw Object.assign(new Error(`${form.action} wants a login`), { signedOut: true });
    }
    if (!response.ok) throw new Error(`${form.action} answered ${response.status}`);
    complain("");
    return response.json();
  }

  /** Fetch HTML that Django rendered and return its elements. */
  async function fragment(url) {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${url} answered ${response.status}`);
    return new DOMParser().parseFromString(await response.text(), "text/html");
  }

  /** Show times in the visitor's zone; Django does not know it. */
  function localTimes(root = document) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const moment = new Date(time.dateTime);
      time.textContent = moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    }
  }

  /** Draw the eye to what has just changed. */
  function flash(element) {
    element.classList.remove("fresh");
    // Reading a size restarts the animation.
    void element.offsetWidth;
    element.classList.add("fresh");
  }

  // Events are not kept for those who were away, so after a gap ask Django for the truth.
  async function refresh() {
    const page = await fragment(location.href);
    for (const old of document.querySelectorAll("[data-refresh]")) {
      const fresh = page.getElementById(old.id);
      if (fresh) old.replaceChildren(...fresh.children);
    }
    localTimes();
    document.dispatchEvent(new CustomEvent("kiln:refreshed"));
  }

  function watchConnection() {
    const badge = document.querySelector(".link-state");
    const label = badge.querySelector("[data-connection-text]");
    let wasConnected = false; // before the state that is being shown

    function show(state) {
      if (badge.dataset.connection === state) return;
      badge.dataset.connection = state;
      label.textContent = STATES[state];
    }

    if (typeof window.Echo?.socketId !== "function") {
      show("offline");
      return;
    }
    const { connection } = window.Echo.connector.pusher;

    function update() {
      if (connection.state === "connected") show("connected");
      else if (!navigator.onLine || ["disconnected", "failed"].includes(connection.state)) {
        show("offline");
      } else {
        show(wasConnected || connection.state === "unavailable" ? "reconnecting" : "connecting");
      }
    }

    connection.bind("state_change", ({ current }) => {
      update();
      if (current !== "connected") return;
      if (wasConnected) refresh().catch(console.error);
      wasConnected = true;
    });
    for (const event of ["offline", "online"]) window.addEventListener(event, update);
    wasConnected = connection.state === "connected";
    update();
  }

  window.Kiln = { announce, complain, submit, fragment, localTimes, flash };
  localTimes();
  watchConnection();
  watchNews();
})();
