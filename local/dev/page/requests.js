/** The app's requests to the service, as the app sees them: this page's `fetch` is watched. */

const MOST = 50;
const rows = document.getElementById("requests");
const TODO = {
  200: "chat",
  202: "go on",
  401: "refresh the Cognito token once, else sign in again",
  403: "show a message in place of the chat",
  429: "wait, and ask again",
  503: "wait, and ask again",
};

function show(path, status, code, todo) {
  const row = rows.insertRow(0);
  const time = new Date().toTimeString().slice(0, 8);
  for (const text of [time, path, status, code, todo]) row.insertCell().textContent = text;
  row.cells[2].className = Number(status) < 300 ? "good" : "bad";
  while (rows.rows.length > MOST) rows.deleteRow(-1);
}

/** Shows every request to `apiUrl`, and calls `onAnswer` with the body of each good one. */
export function watchRequests(apiUrl, onAnswer) {
  const send = window.fetch;
  window.fetch = async (url, options) => {
    if (!String(url).startsWith(apiUrl)) return send(url, options);
    const path = String(url).slice(apiUrl.length);
    const shown = options?.method === "DELETE" ? `DELETE ${path}` : path;
    try {
      const response = await send(url, options);
      const body = await response.clone().json().catch(() => ({}));
      const wait = response.headers.get("retry-after");
      const todo = TODO[response.status] ?? "show that the chat is not available";
      show(shown, response.status, body.code ?? "", wait ? `${todo} (${wait} s)` : todo);
      if (response.ok) onAnswer(path, body);
      return response;
    } catch (error) {
      if (!options?.signal?.aborted) show(shown, "—", "network error", "refresh the Cognito token once, then wait");
      throw error;
    }
  };
}
