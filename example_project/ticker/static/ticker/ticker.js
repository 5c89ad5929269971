/* The ticker: a public channel, and nothing to authorize. */
(() => {
  "use strict";

  const LINES = 6;
  const list = document.getElementById("ticker");

  function add({ activity }) {
    if (list.querySelector(`[data-id="${activity.id}"]`)) return;
    list.querySelector(".empty")?.remove();
    const line = document.createElement("li");
    line.dataset.id = activity.id;
    const text = document.createElement("span");
    text.textContent = activity.text;
    const time = document.createElement("time");
    time.dateTime = activity.created;
    line.append(text, " ", time);
    list.prepend(line);
    while (list.children.length > LINES) list.lastElementChild.remove();
    Kiln.localTimes(line);
    Kiln.flash(line);
    Kiln.announce(activity.text);
  }

  window.Echo?.channel?.("shop").listen("ActivityRecorded", add);
})();
