// Things that the browser keeps: the name, the client key, the numbers of own posts, the servers, the groups. A browser that forbids
// storage gets a page that works until it is closed.
"use strict";

const PREFIX = "groupcast.";

// One of the browser's two stores, or a map when it is forbidden or full.
class Shelf {
  constructor(open) {
    this.memory = new Map();
    try { this.store = open(); } catch { this.store = null; }
  }

  get(name) {
    if (this.memory.has(name)) return this.memory.get(name);
    try { return this.store ? this.store.getItem(PREFIX + name) : null; } catch { return null; }
  }

  set(name, value) {
    try {
      this.store.setItem(PREFIX + name, value);
      this.memory.delete(name);
    } catch { this.memory.set(name, value); }
  }

  remove(name) {
    this.memory.delete(name);
    try { this.store.removeItem(PREFIX + name); } catch { /* It was never kept. */ }
  }

  // Returns the value parsed, or `otherwise` if there is none or another program has written there.
  json(name, otherwise) {
    try { return JSON.parse(this.get(name)) ?? otherwise; } catch { return otherwise; }
  }

  names(start) {
    const names = [...this.memory.keys()];
    for (let i = 0; this.store && i < this.store.length; i++) {
      const name = this.store.key(i);
      if (name.startsWith(PREFIX)) names.push(name.slice(PREFIX.length));
    }
    return names.filter((name) => name.startsWith(start));
  }
}

// Everything the page keeps. `lasting` outlives the window, `window` belongs to this one: two windows may have two users.
class Store {
  constructor() {
    this.lasting = new Shelf(() => localStorage);
    this.window = new Shelf(() => sessionStorage);
  }

  name() { return this.window.get("name") || this.lasting.get("name"); }

  keepName(name) {
    this.window.set("name", name);
    this.lasting.set("name", name);
  }

  forgetName() {
    for (const shelf of [this.window, this.lasting]) shelf.remove("name");
    this.window.remove("session");
    this.window.remove("seen");
  }

  // Returns the random key of this browser: with it and `n`, servers know a post that comes twice.
  client() {
    let client = this.lasting.get("client");
    if (!client) {
      client = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      this.lasting.set("client", client);
    }
    return client;
  }

  // Returns the next number of an own post. It grows with the clock, so two windows that count at once, or a browser whose
  // storage was lost in part, do not use one number twice: the second post of a number would be taken for the first.
  nextNumber() {
    const last = Number(this.lasting.get("n")) || 0;
    const n = Math.max(last + 1, Date.now() * 1000 + Math.floor(Math.random() * 1000));
    this.lasting.set("n", String(n));
    return n;
  }

  servers() { return this.lasting.json("servers", []).filter((server) => server && typeof server.web === "string"); }
  keepServers(servers) { this.lasting.set("servers", JSON.stringify(servers)); }

  groups(user) { return this.lasting.json("groups." + user, []); }
  keepGroups(user, groups) { this.lasting.set("groups." + user, JSON.stringify(groups)); }

  group(user) { return this.window.get("group." + user) || this.lasting.get("group." + user); }

  keepGroup(user, group) {
    this.window.set("group." + user, group);
    this.lasting.set("group." + user, group);
  }

  // Returns where own posts lie until they are confirmed, one entry a post.
  drawer(user) {
    const start = "out." + user + "\n";
    return {
      all: () => this.lasting.names(start).map((name) => this.lasting.json(name, null)).filter((entry) => entry !== null),
      put: (entry) => this.lasting.set(start + entry.n, JSON.stringify(entry)),
      remove: (entry) => this.lasting.remove(start + entry.n),
    };
  }
}
