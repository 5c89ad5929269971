/*
 * The welcome page: four steps, each with its milliseconds, or the one where it stopped.
 *
 * Listens with the real Echo and posts a plain form; nothing here is needed by other pages.
 */
(() => {
  "use strict";

  const root = document.getElementById("welcome");
  const form = document.getElementById("send");
  const button = form.querySelector("button");
  const live = document.getElementById("live");
  const verdict = document.getElementById("verdict");
  const doctor = document.getElementById("doctor");
  const wait = Number(root.dataset.wait) * 1000;
  const timers = {};
  const started = performance.now();
  let pressed = null;
  let presses = 0;
  let arrivals = 0;

  const round = (milliseconds) =>
    milliseconds < 10 ? milliseconds.toFixed(1) : String(Math.round(milliseconds));

  const step = (name) => root.querySelector(`[data-step="${name}"]`);

  function show(name, state, text) {
    clearTimeout(timers[name]);
    const element = step(name);
    element.dataset.state = state;
    element.querySelector(".time").textContent = text;
    element.querySelector(".cure").hidden = state !== "failed";
    doctor.hidden = root.querySelector('[data-state="failed"]') === null;
    if (doctor.hidden && verdict.dataset.failed) tell("");
  }

  /** Mark a step as done; return its time as text. */
  function done(name, since) {
    const time = `${round(performance.now() - since)} ms`;
    show(name, "done", time);
    return time;
  }

  function fail(name, message = "Stopped here") {
    show(name, "failed", message);
    const title = step(name).querySelector("h3").textContent;
    tell(`It stopped at the step “${title}”: what to look at is there.`, "yes");
  }

  function tell(text, failed = "") {
    verdict.dataset.failed = failed;
    verdict.textContent = text;
  }

  function expect(name, seconds = wait) {
    show(name, "waiting", "…");
    timers[name] = setTimeout(() => fail(name, `Nothing for ${seconds / 1000} seconds`), seconds);
  }

  function say(state, text) {
    live.dataset.state = state;
    live.textContent = text;
  }

  // -- connected, subscribed -----------------------------------------------------------------

  function listen(echo) {
    const pusher = echo.connector.pusher;
    const { connection } = pusher;
    let since = started;

    const subscribing = () => ["waiting", "failed"].includes(step("subscribed").dataset.state);

    function changed(state) {
      if (state === "connected") {
        done("connected", since);
        say("waiting", "Connected, joining the channel…");
        since = performance.now();
        // A server that takes the socket and sends it away again is tried for ever, but the
        // time for this step is counted from the first attempt.
        if (!subscribing()) expect("subscribed");
        return;
      }
      button.disabled = true;
      say(["initialized", "connecting"].includes(state) ? "waiting" : "failed", words(state));
      if (step("connected").dataset.state === "done") {
        since = performance.now();
        expect("connected");
      }
    }

    expect("connected");
    connection.bind("state_change", ({ current }) => {
      if (current !== "connected" && !subscribing()) show("subscribed", "idle", "");
      changed(current);
    });
    connection.bind("error", ({ error }) => {
      const data = error?.data;
      if (!data?.message) return;
      // Sent away between the greeting and the answer: it is the subscription that failed.
      const where = subscribing() ? "subscribed" : "connected";
      fail(where, `${data.code ?? ""} ${data.message}`.trim());
    });
    echo
      .channel(root.dataset.channel)
      .subscribed(() => {
        done("subscribed", since);
        say("done", "Connected: events arrive as they happen");
        button.disabled = false;
      })
      .error((error) => fail("subscribed", error?.message ?? "Refused"))
      .listen(root.dataset.event, arrived);
    changed(connection.state);
  }

  function words(state) {
    return (
      {
        initialized: "Connecting…",
        connecting: "Connecting…",
        unavailable: "No connection, trying again",
        disconnected: "Disconnected",
        failed: "This browser cannot open WebSockets",
      }[state] ?? state
    );
  }

  function socketUrl({ options }) {
    const scheme = options.forceTLS ? "wss" : "ws";
    const port = options.forceTLS ? options.wssPort : options.wsPort;
    return `${scheme}://${options.wsHost}:${port}${options.wsPath ?? ""}/app/${options.key}`;
  }

  // -- dispatched, arrived -------------------------------------------------------------------

  async function send(event) {
    event.preventDefault();
    if (button.disabled) return;
    pressed = performance.now();
    presses += 1;
    form.elements.press.value = String(presses);
    tell("");
    show("dispatched", "waiting", "…");
    show("arrived", "waiting", "…");
    const problem = await post(new FormData(form));
    if (problem !== null) {
      step("dispatched").querySelector("[data-message]").textContent = problem;
      show("arrived", "idle", "");
      fail("dispatched");
      return;
    }
    done("dispatched", pressed);
    // It may have overtaken its own answer.
    if (step("arrived").dataset.state === "waiting") expect("arrived");
  }

  /** Return what went wrong, or null. */
  async function post(body) {
    try {
      const response = await fetch(form.action, {
        method: "POST",
        body,
        headers: { Accept: "application/json" },
      });
      if (response.ok) return null;
      const answer = await response.json().catch(() => null);
      return answer?.message ?? `the view answered ${response.status}`;
    } catch (error) {
      return `the site did not answer (${error.message})`;
    }
  }

  function arrived({ press }) {
    if (press !== String(presses) || pressed === null) return;
    arrivals += 1;
    const time = done("arrived", pressed);
    tell(`It works: event ${arrivals} went from the button to Django and back in ${time}.`);
  }

  // -- copy ----------------------------------------------------------------------------------

  async function copy({ currentTarget }) {
    const code = document.getElementById(currentTarget.dataset.copy);
    const told = document.getElementById("copied");
    try {
      await navigator.clipboard.writeText(code.textContent);
      told.textContent = "Copied";
      currentTarget.firstChild.data = "Copied";
    } catch {
      // No clipboard outside secure contexts: mark it, so that the keyboard can copy it.
      getSelection().selectAllChildren(code);
      told.textContent = "Selected: copy it with the keyboard";
      currentTarget.firstChild.data = "Selected";
    }
  }

  for (const element of document.querySelectorAll(".copy")) element.addEventListener("click", copy);
  form.addEventListener("submit", send);
  if (window.Broadcasting?.echo) {
    step("connected").querySelector("[data-socket-url]").textContent = socketUrl(
      window.Echo.connector,
    );
    listen(window.Echo);
  } else {
    say("failed", "Laravel Echo did not load");
    fail("connected", "Laravel Echo did not load: install the package again");
  }
})();
