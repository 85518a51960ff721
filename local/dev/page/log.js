/** The log lines of the functions, newest first. */

import { get } from "./control.js";

const POLL = 700;
const MOST = 300;
const body = document.getElementById("log");

let next = 0;
let chosen;

function choose(id) {
  chosen = chosen === id ? undefined : id;
  for (const row of body.rows) {
    row.hidden = chosen !== undefined && row.dataset.id !== chosen;
    row.querySelector("button")?.setAttribute("aria-pressed", String(row.dataset.id === chosen));
  }
}

function row({ time, correlation_id: id, function: name, level, message, details }) {
  const made = document.createElement("tr");
  made.dataset.id = id ?? "";
  made.hidden = chosen !== undefined && made.dataset.id !== chosen;
  made.insertCell().textContent = (time ?? "").slice(11, 19);
  const button = document.createElement("button");
  button.textContent = (id ?? "").slice(0, 8);
  button.setAttribute("aria-label", `Correlation id ${id}`);
  button.setAttribute("aria-pressed", String(chosen === id));
  button.addEventListener("click", () => choose(id));
  made.insertCell().append(...(id ? [button] : []));
  made.insertCell().textContent = name ?? "";
  const text = made.insertCell();
  text.className = level === "INFO" ? "" : "bad";
  const more = document.createElement("small");
  more.textContent = Object.keys(details).length ? ` ${JSON.stringify(details)}` : "";
  text.append(message, more);
  return made;
}

export async function followLog() {
  try {
    const answer = await get("log", { after: next });
    next = answer.next;
    for (const entry of answer.entries) body.prepend(row(entry));
    while (body.rows.length > MOST) body.deleteRow(-1);
  } catch {
    // The server is stopped, or starts again.
  }
  setTimeout(followLog, POLL);
}
