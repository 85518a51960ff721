// The page's side of WhopChatBridge: the `token` of Whop's ChatSession. Not run in a WebView; see ../README.md.

let calls = 0;
const waiting = new Map();

window.whopChat.onmessage = ({ data }) => {
  const { id, token, ...error } = JSON.parse(data);
  const { resolve, reject } = waiting.get(id) ?? {};
  waiting.delete(id);
  if (token) resolve?.(token);
  else reject?.(Object.assign(new Error(`no chat token: ${error.kind}`), error));
};

export function token({ abortSignal }) {
  return new Promise((resolve, reject) => {
    const id = String(++calls);
    waiting.set(id, { resolve, reject });
    abortSignal.addEventListener("abort", () => {
      window.whopChat.postMessage(JSON.stringify({ id, abort: true }));
      waiting.delete(id);
      reject(abortSignal.reason);
    });
    window.whopChat.postMessage(JSON.stringify({ id }));
  });
}
