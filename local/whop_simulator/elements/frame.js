/* The chat inside of a stand-in: it uses the token as Whop's own chat would, at the simulator's API. */

const channel = new URLSearchParams(location.search).get("channel");
const byId = (id) => document.getElementById(id);
const POLL = 2000;

let page;
let token;
let waiting = [];

function tell(message) {
  window.parent.postMessage(message, page ?? "*"); // holds no secret: the page has the token
}

/** A token other than the refused one. The page is asked again and again until it has one. */
async function nextToken(refused) {
  while (!token || token === refused) {
    byId("state").textContent = "Waiting for a token";
    tell({ needs: "token", refused });
    await new Promise((resolve) => {
      waiting.push(resolve);
      setTimeout(resolve, POLL);
    });
  }
  byId("state").textContent = "";
  return token;
}

window.addEventListener("message", ({ source, origin, data }) => {
  if (source !== window.parent || typeof data.token !== "string") return;
  page = origin;
  if (data.token === token) return;
  token = data.token;
  for (const resolve of waiting) resolve();
  waiting = [];
});

async function call(method, path, body) {
  let refused;
  for (;;) {
    const used = await nextToken(refused);
    const response = await fetch(`/api/v1/${path}`, {
      method,
      headers: { Authorization: `Bearer ${used}`, "Content-Type": "application/json" },
      body: body && JSON.stringify(body),
    });
    if (response.status !== 401) return response;
    refused = used;
  }
}

async function list() {
  const response = await call("GET", `messages?channel_id=${encodeURIComponent(channel)}`);
  if (!response.ok) return failed(response);
  const { data } = await response.json();
  byId("messages").replaceChildren(
    ...data.reverse().map(({ user, content }) => {
      const item = document.createElement("li");
      const name = document.createElement("b");
      name.textContent = user.name ?? user.username ?? user.id;
      item.append(name, document.createElement("br"), content);
      return item;
    }),
  );
}

async function failed(response) {
  const { error } = await response.json();
  byId("state").textContent = error?.message ?? `The chat answered ${response.status}.`;
}

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const content = byId("text").value;
  byId("text").value = "";
  const response = await call("POST", "messages", { channel_id: channel, content });
  if (response.ok) await list();
  else await failed(response);
});

async function follow() {
  await list().catch(() => (byId("state").textContent = "The chat cannot be reached."));
  setTimeout(follow, POLL);
}

list()
  .catch(() => {})
  .then(() => {
    tell({ is: "ready" });
    setTimeout(follow, POLL);
  });
