/* Orders: one private channel each, all of them authorized in a single request. */
(() => {
  "use strict";

  const page = document.getElementById("orders-page");
  const list = document.getElementById("orders");
  const live = typeof window.Echo?.socketId === "function";

  const find = (id) => list.querySelector(`[data-order="${CSS.escape(id)}"]`);

  function shipped({ id, number }) {
    const card = find(id);
    if (card === null || card.dataset.status === "shipped") return;
    card.dataset.status = "shipped";
    card.querySelector("[data-status-text]").textContent = "Shipped";
    card.querySelector("[data-ship]")?.remove();
    Kiln.flash(card);
    Kiln.announce(`Order ${number} has shipped.`);
  }

  // The event says that there is an order; what this visitor may see of it, Django says.
  async function placed({ id, number }) {
    if (find(id)) return;
    const card = (await Kiln.fragment(`${location.pathname}${id}/`)).querySelector("[data-order]");
    if (find(id)) return;
    list.querySelector(".empty")?.remove();
    list.prepend(card);
    watch(card);
    Kiln.flash(card);
    Kiln.announce(`Order ${number} was placed.`);
  }

  function focusOn(card) {
    card.tabIndex = -1;
    card.focus();
  }

  const watched = new Set();

  function watch(card) {
    const id = card.dataset.order;
    if (!live || watched.has(id) || card.dataset.status === "shipped") return;
    watched.add(id);
    window.Echo.private(`orders.${id}`).listen("OrderShipped", ({ order }) => shipped(order));
  }

  const watchAll = () => list.querySelectorAll("[data-order]").forEach(watch);

  page.addEventListener("submit", async (event) => {
    const form = event.target;
    const ship = "ship" in form.dataset;
    event.preventDefault();
    const button = form.querySelector("button");
    const card = form.closest("[data-order]");
    button.disabled = true;
    try {
      // to_others(): this tab gets no event for what it did, only this answer.
      const order = await Kiln.submit(form);
      if (ship) shipped(order);
      else await placed(order);
    } catch (error) {
      console.error(error);
      Kiln.complain("That did not work. Try again.", error);
    } finally {
      button.disabled = false;
      // A keyboard goes on where it was, or where its button has been.
      if (button.isConnected) button.focus();
      else focusOn(card);
    }
  });

  document.addEventListener("kiln:refreshed", watchAll);

  if (live) {
    watchAll();
    const room = "workshop" in page.dataset ? "workshop" : `customers.${page.dataset.customer}`;
    window.Echo.private(room).listen("OrderPlaced", (order) => placed(order).catch(console.error));
  }
})();
