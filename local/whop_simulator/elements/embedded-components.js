/*
 * Stands in for Whop's embedded components 1.2: the names and shapes of @whop/embedded-components-vanilla-js, as far as a
 * chat needs them, also by Whop's React package. What Whop's own script does inside is not known. This one asks for a token at the first mount, and
 * again when the simulator refuses the token that it has.
 */
(() => {
  const chat = new URL("frame.html", document.currentScript.src);

  class Emitter {
    #listeners = {};

    on(name, listener) {
      (this.#listeners[name] ??= new Set()).add(listener);
      return this;
    }

    off(name, listener) {
      this.#listeners[name]?.delete(listener);
      return this;
    }

    emit(name, ...values) {
      for (const listener of this.#listeners[name] ?? []) listener(...values);
    }
  }

  class ChatElement extends Emitter {
    #session;
    #frame;
    #snapshot = { state: "loading" };

    constructor(session, options) {
      super();
      this.#session = session;
      this.options = options;
      if (options.onReady) this.on("ready", options.onReady);
    }

    mount(target) {
      const parent = typeof target === "string" ? document.querySelector(target) : target;
      this.#frame = document.createElement("iframe");
      this.#frame.title = "Chat";
      this.#open();
      parent.append(this.#frame);
      window.addEventListener("message", this.#hear);
    }

    unmount() {
      window.removeEventListener("message", this.#hear);
      this.#frame?.remove();
    }

    updateOptions(options) {
      const { channelId } = this.options;
      this.options = { ...this.options, ...options };
      if (this.#frame && this.options.channelId !== channelId) this.#open();
      this.emit("optionsUpdated", this.options);
    }

    getSnapshot() {
      return this.#snapshot;
    }

    show(token) {
      this.#frame?.contentWindow?.postMessage({ token }, chat.origin);
    }

    #open() {
      this.#frame.src = `${chat}?channel=${encodeURIComponent(this.options.channelId)}`;
    }

    #hear = ({ source, data }) => {
      if (source !== this.#frame.contentWindow) return;
      if (data.needs === "token") this.#session.fetchToken(data.refused);
      if (data.is !== "ready") return;
      this.#snapshot = { state: "ready" };
      this.emit("snapshot", this.#snapshot);
      this.emit("ready", this);
    };
  }

  class ChatSession extends Emitter {
    #token;
    #elements = new Set();
    #abort = new AbortController();
    #fetching;
    #current;

    constructor({ token }) {
      super();
      this.#token = token;
    }

    /** `type` is the name, or what has it: Whop's React package gives its component. */
    createElement(component, options) {
      const type = component.type ?? component;
      if (type !== "chat-element") throw new Error(`the stand-in has no ${type}`);
      const element = new ChatElement(this, options);
      this.#elements.add(element);
      return element;
    }

    updateOptions({ token }) {
      this.#token = token;
      this.#current = undefined;
      this.emit("optionsUpdated", { token });
      this.fetchToken();
    }

    destroy() {
      this.#abort.abort();
      for (const element of this.#elements) element.unmount();
      this.#elements.clear();
    }

    /** Not public at Whop: an element calls it. `refused` is the token that the frame cannot use any more. */
    fetchToken(refused) {
      if (this.#current && this.#current !== refused) return this.#show(this.#current);
      this.#fetching ??= this.#ask().finally(() => (this.#fetching = undefined));
    }

    async #ask() {
      const abortSignal = this.#abort.signal;
      try {
        const token = await (typeof this.#token === "function" ? this.#token({ abortSignal }) : this.#token);
        if (abortSignal.aborted || !token) return;
        this.#current = token;
        this.#show(token);
        this.emit("tokenRefreshed", token);
      } catch (error) {
        if (abortSignal.aborted) return;
        this.emit("tokenRefreshError", error);
        this.emit("error", error);
      }
    }

    #show(token) {
      for (const element of this.#elements) element.show(token);
    }
  }

  window.WhopElements = class WhopElements {
    createChatSession(options) {
      return new ChatSession(options);
    }

    updateOptions() {}
  };
})();
