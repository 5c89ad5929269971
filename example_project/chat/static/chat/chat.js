/* A chat room on a presence channel: who is here, what they say, and that they are typing. */
(() => {
  "use strict";

  const WHISPER_EVERY = 1500; // milliseconds between two "I am typing"
  const TYPING_FADES = 3000; // milliseconds after the last one

  const chat = document.getElementById("chat");
  const me = Number(chat.dataset.user);
  const list = document.getElementById("messages");
  const scroller = chat.querySelector("[data-scroll]");
  const typingLine = chat.querySelector("[data-typing]");
  const form = chat.querySelector("[data-say]");
  const field = form.elements.text;

  const members = new Map();
  const typing = new Map();

  // -- messages

  function toBottom() {
    scroller.scrollTop = scroller.scrollHeight;
  }

  function isAtBottom() {
    return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 2;
  }

  function show(message) {
    if (list.querySelector(`[data-id="${message.id}"]`)) return;
    const item = document.getElementById("message-template").content.cloneNode(true).firstElementChild;
    item.dataset.id = message.id;
    item.dataset.author = message.author.id;
    item.classList.toggle("own", message.author.id === me);
    item.querySelector("[data-name]").textContent = message.author.name;
    item.querySelector(".bubble").textContent = message.text;
    item.querySelector("time").dateTime = message.sent;
    Kiln.localTimes(item);
    list.append(item);
    Kiln.flash(item);
    toBottom();
    stopTyping(message.author.id);
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = field.value;
    if (text.trim() === "") return;
    try {
      const sent = Kiln.submit(form);
      field.value = "";
      show(await sent);
    } catch (error) {
      console.error(error);
      field.value = text;
      Kiln.complain("Your message was not sent. Try again.", error);
    }
  });

  // -- who is here: a person is there once, however many tabs are open

  function drawMembers() {
    const people = [...members.values()].sort((a, b) => a.name.localeCompare(b.name));
    const template = document.getElementById("member-template");
    chat.querySelector("[data-members]").replaceChildren(
      ...people.map((person) => {
        const item = template.content.cloneNode(true).firstElementChild;
        item.dataset.member = person.id;
        item.querySelector(".face").textContent = person.name[0];
        item.querySelector(".face").classList.add(`face-${((person.id - 1) % 5) + 1}`);
        item.querySelector("[data-name]").textContent = person.id === me ? `${person.name} (you)` : person.name;
        return item;
      }),
    );
    chat.querySelector("[data-count]").textContent = String(people.length);
  }

  function here(people) {
    members.clear();
    for (const person of people) members.set(person.id, person);
    drawMembers();
  }

  function joining(person) {
    members.set(person.id, person);
    drawMembers();
    Kiln.announce(`${person.name} came in.`);
  }

  function leaving(person) {
    members.delete(person.id);
    stopTyping(person.id);
    drawMembers();
    Kiln.announce(`${person.name} left.`);
  }

  // -- the room itself

  function rename({ name, topic }) {
    const title = document.getElementById("room-title");
    const follows = isAtBottom();
    title.textContent = name;
    title.nextElementSibling.textContent = topic;
    if (follows) toBottom(); // a longer topic leaves less room below it
    Kiln.flash(title.parentElement);
  }

  // -- typing

  function drawTyping() {
    const names = [...typing.keys()].map((id) => members.get(id)?.name).filter(Boolean);
    if (names.length === 0) typingLine.textContent = "";
    else if (names.length === 1) typingLine.textContent = `${names[0]} is typing…`;
    else typingLine.textContent = `${names.length} people are typing…`;
  }

  function stopTyping(id) {
    clearTimeout(typing.get(id));
    typing.delete(id);
    drawTyping();
  }

  // Whispers come from browsers, not from Django: take from them who it may be, and show only
  // the name that the server vouched for.
  function startTyping({ id }) {
    if (id === me || !members.has(id)) return;
    clearTimeout(typing.get(id));
    typing.set(id, setTimeout(() => stopTyping(id), TYPING_FADES));
    drawTyping();
  }

  toBottom();
  document.addEventListener("kiln:refreshed", () => {
    for (const item of list.children) item.classList.toggle("own", Number(item.dataset.author) === me);
    toBottom();
  });

  if (typeof window.Echo?.socketId !== "function") return;

  const channel = window.Echo.join(`chat.${chat.dataset.room}`)
    .here(here)
    .joining(joining)
    .leaving(leaving)
    .listen("MessagePosted", show)
    .listen("RoomUpdated", ({ model }) => rename(model))
    .listenForWhisper("typing", startTyping);

  let whispered = 0;
  field.addEventListener("input", () => {
    const now = Date.now();
    if (!members.has(me) || now - whispered < WHISPER_EVERY) return;
    whispered = now;
    channel.whisper("typing", { id: me });
  });
})();
