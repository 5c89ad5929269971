// A page of @laravel/echo-react, as a team would write it; what it hears stands in the document.

import { StrictMode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
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
} from "@laravel/echo-react";

configureEcho(window.options);
window.echo = echo;

function Order({ number, tell }) {
  useEcho(`orders.${number}`, ["Happened", ".order.shipped"], tell("order"), [number]);
  useEchoModel("shop.Order", number, "OrderUpdated", tell("model"), [number]);
  useEchoNotification(`App.Models.User.${number}`, tell("notification"), "paid", [number]);
  useEchoModel("blog.Post", number, ["PostCreated", "PostUpdated", "PostDeleted"], tell("post"), [number]);
  useEchoNotification(window.options.own, tell("told"), "tests.liveapp.notifications.Paid");
  useEchoPublic("ticker", "Happened", tell("ticker"));
  const room = useEchoPresence("chat.hooks", "Happened", tell("room"));
  useEffect(() => {
    const names = (members) => members.map((member) => member.name).sort();
    room
      .channel()
      .here((members) => tell("here")(names(members)))
      .joining((member) => tell("joining")(member.name))
      .leaving((member) => tell("leaving")(member.name));
  }, [room]);
  return <p>Order {number}</p>;
}

function Page() {
  const [heard, setHeard] = useState([]);
  const [number, setNumber] = useState(1);
  const [shown, setShown] = useState(true);
  const tell = (what) => (data) => setHeard((all) => [...all, `${what} ${JSON.stringify(data)}`]);
  return (
    <>
      <output id="status">{useConnectionStatus()}</output>
      <output id="socket">{useSocketId()}</output>
      <button onClick={() => setNumber(number + 1)}>Next</button>
      <button onClick={() => setShown(!shown)}>Toggle</button>
      {shown && <Order number={number} tell={tell} />}
      <ol>
        {heard.map((text, index) => (
          <li key={index}>{text}</li>
        ))}
      </ol>
    </>
  );
}

// Strict mode enters and leaves everything once before it stays.
createRoot(document.getElementById("app")).render(
  <StrictMode>
    <Page />
  </StrictMode>,
);
