// A page of @laravel/echo-vue; see react.jsx.

import { createApp, h, ref } from "vue";
import {
  configureEcho,
  echo,
  useConnectionStatus,
  useEcho,
  useEchoModel,
  useEchoNotification,
  useEchoPresence,
  useEchoPublic,
  useSocketId,
} from "@laravel/echo-vue";

configureEcho(window.options);
window.echo = echo;

const Order = {
  props: ["number", "tell"],
  setup({ number, tell }) {
    useEcho(`orders.${number}`, ["Happened", ".order.shipped"], tell("order"));
    useEchoModel("shop.Order", number, "OrderUpdated", tell("model"));
    useEchoNotification(`App.Models.User.${number}`, tell("notification"), "paid");
    useEchoModel("blog.Post", number, ["PostCreated", "PostUpdated", "PostDeleted"], tell("post"));
    useEchoNotification(window.options.own, tell("told"), "tests.liveapp.notifications.Paid");
    useEchoPublic("ticker", "Happened", tell("ticker"));
    const names = (members) => members.map((member) => member.name).sort();
    useEchoPresence("chat.hooks", "Happened", tell("room"))
      .channel()
      .here((members) => tell("here")(names(members)))
      .joining((member) => tell("joining")(member.name))
      .leaving((member) => tell("leaving")(member.name));
    return () => h("p", `Order ${number}`);
  },
};

const Page = {
  setup() {
    const heard = ref([]);
    const number = ref(1);
    const shown = ref(true);
    const status = useConnectionStatus();
    const socket = useSocketId();
    const tell = (what) => (data) => heard.value.push(`${what} ${JSON.stringify(data)}`);
    // Channel names are read when a component is set up, so another order is another component.
    return () => [
      h("output", { id: "status" }, status.value),
      h("output", { id: "socket" }, socket.value),
      h("button", { onClick: () => (number.value += 1) }, "Next"),
      h("button", { onClick: () => (shown.value = !shown.value) }, "Toggle"),
      shown.value ? h(Order, { key: number.value, number: number.value, tell }) : null,
      h("ol", heard.value.map((text) => h("li", text))),
    ];
  },
};

createApp(Page).mount("#app");
