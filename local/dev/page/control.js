/** The server of this page: what it knows of the stack, and what it can do to it. */

async function answerOf(response) {
  const body = await response.json();
  if (!response.ok) throw new Error(body.error);
  return body;
}

export async function get(what, query = {}) {
  return answerOf(await fetch(`/control/${what}?${new URLSearchParams(query)}`));
}

export async function post(what, body) {
  const headers = { "Content-Type": "application/json" };
  return answerOf(await fetch(`/control/${what}`, { method: "POST", headers, body: JSON.stringify(body) }));
}
