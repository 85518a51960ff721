/*
 * Stands in for Whop Elements 1.10: the names and shapes of its documents, as far as a chat needs them. The names that
 * those do not have are guesses, and `mount` is one of them. Its tokens are values: it never asks for the next one.
 */
(() => {
  const chat = new URL("frame.html", document.currentScript.src);

  function create({ accessToken, accountId, channelId }) {
    const frame = document.createElement("iframe");
    let destroyed = false;

    function show() {
      frame.contentWindow?.postMessage({ token: accessToken }, chat.origin);
    }

    function hear({ source, data }) {
      if (source === frame.contentWindow && data.needs === "token" && data.refused !== accessToken) show();
    }

    function alive() {
      if (destroyed) throw new Error("this chat is destroyed");
    }

    return {
      mount(target) {
        alive();
        frame.title = "Chat";
        frame.dataset.account = accountId;
        frame.src = `${chat}?channel=${encodeURIComponent(channelId)}`;
        (typeof target === "string" ? document.querySelector(target) : target).append(frame);
        window.addEventListener("message", hear);
      },
      update(options) {
        alive();
        accessToken = options.accessToken ?? accessToken;
        show();
      },
      destroy() {
        destroyed = true;
        window.removeEventListener("message", hear);
        frame.remove();
      },
    };
  }

  window.WhopElements = () => ({ chat: { create } });
})();
