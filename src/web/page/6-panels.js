// All that stands around the posts: the strips at the top, the groups, the people, the servers, and the panels of narrow windows.
"use strict";

// A reconnection shorter than this is not shown, in milliseconds.
const UNSEEN_MS = 500;

// Each of these shows a strip, or hides it, and returns its words ("" when hidden) for screen readers.

// Shows the connection while there is none. `since` is when it was lost.
function showBanner(connection, since, now) {
  const lost = connection.phase !== "open" && (now - since >= UNSEEN_MS || connection.tried.length > 0);
  show($("banner"), lost);
  if (!lost) return "";
  const waiting = connection.phase === "waiting";
  const seconds = Math.max(1, Math.ceil((connection.retryAt - now) / 1000));
  const name = connection.server().id || connection.server().web;
  const tried = connection.tried.length > 0 ? " Tried " + inWords(connection.tried) + "." : "";
  const words = waiting ? "No server answers." + tried + " Your posts are kept." : "Connecting to " + name + " …" + tried;
  say($("banner-text"), words);
  show($("try-now"), waiting);
  // The countdown stands in the button, not in the words: a screen reader must not read every second.
  if (waiting) say($("try-now"), "Try now (" + seconds + " s)");
  return words;
}

function showPartition(view, open) {
  const words = view && open ? partitionWords(view) : "";
  show($("partition"), words !== "");
  say($("partition-text"), words);
  return words;
}

function showLacks(server, lacks) {
  const words = lacks > 0 ? (server || "This server") + " lacks " + counted(lacks, "message", "messages") +
    " that you have seen. They come when it hears the server that has them." : "";
  show($("lacks"), lacks > 0);
  say($("lacks-text"), words);
  return words;
}

// Lists the groups: those of the user with unread posts, and the others to join.
function showGroups(groups, current, acts) {
  const rowKey = (group) => group.group;
  const fill = (li, group) => {
    const { button, name, badge, words } = li.parts;
    const here = group.group === current;
    put(button, "data-group", group.group);
    put(button, "data-unread", group.unread);
    put(button, "data-joined", group.joined ? "true" : "false");
    put(button, "aria-current", here ? "true" : null);
    say(name, group.group);
    show(badge, group.joined && group.unread > 0);
    say(badge, group.unread > 999 ? "999+" : String(group.unread));
    say(words, group.joined ? (group.unread > 0 ? " unread" : "") : ", join this group");
  };
  const create = (group) => {
    const parts = {
      button: make("button", { type: "button", class: "group", "data-testid": "group" }),
      name: make("bdi", { class: "name" }), badge: make("span", { class: "badge" }), words: make("span", { class: "unseen" }),
    };
    parts.button.append(parts.name, " ", parts.badge, parts.words);
    parts.button.addEventListener("click", () => acts.choose(group.group));
    const li = make("li", {}, parts.button);
    li.parts = parts;
    return li;
  };
  sync($("groups"), groups.filter((group) => group.joined), rowKey, create, fill);
  const others = groups.filter((group) => !group.joined);
  show($("others"), others.length > 0);
  sync($("other-groups"), others, rowKey, create, fill);
  const unread = groups.reduce((sum, group) => sum + (group.joined && group.group !== current ? group.unread : 0), 0);
  show($("unread-total"), unread > 0);
  say($("unread-total"), unread > 999 ? "999+" : String(unread));
  put($("unread-total"), "aria-label", counted(unread, "unread message", "unread messages"));
}

function showMembers(group, me) {
  const users = group ? group.users.map((user) => ({ user, away: group.unreachable.includes(user) })) : [];
  const create = () => {
    const li = make("li", { class: "person", "data-testid": "member" });
    Object.assign(li, { face: make("span", { class: "face", "aria-hidden": "true" }), name: make("bdi"), note: make("span", { class: "note" }) });
    li.append(li.face, make("span", {}, li.name, " ", li.note));
    return li;
  };
  sync($("members"), users, (row) => row.user, create, (li, row) => {
    put(li, "data-user", row.user);
    put(li, "data-unreachable", row.away ? "true" : "false");
    say(li.face, [...row.user][0].toUpperCase());
    say(li.name, row.user);
    say(li.note, row.away ? "server out of reach" : row.user === me ? "you" : "");
  });
  const away = users.filter((row) => row.away).length;
  say($("subtitle"), group ? counted(users.length, "person", "people") + (away > 0 ? ", " + away + " out of reach" : "") : "");
}

// Lists the servers as the server in use sees them. `heardAt` is when its view came.
function showServers(view, heardAt, connection, now, move) {
  const create = (server) => {
    const li = make("li", { class: "server", "data-testid": "server" });
    Object.assign(li, {
      dot: make("span", { class: "dot", "aria-hidden": "true" }), name: make("bdi", { class: "name" }), note: make("span", { class: "note" }),
      use: make("button", { type: "button", class: "plain", "data-testid": "use-server" }, "Switch"),
    });
    li.use.addEventListener("click", () => move(server.id));
    li.append(li.dot, make("span", {}, li.name, " ", li.note), li.use);
    return li;
  };
  // Without a connection the list is that of the past: it says so, and is not coloured.
  const open = connection.phase === "open";
  put($("servers"), "data-stale", open ? null : "true");
  sync($("servers"), view ? view.servers : [], (server) => server.id, create, (li, server) => {
    const own = server.id === view.server;
    put(li, "data-id", server.id);
    put(li, "data-reachable", server.reachable ? "true" : "false");
    put(li, "data-silent", server.silent ? "true" : null);
    say(li.name, server.id);
    say(li.note, open ? heardWords(server, own, now - heardAt, now) : "");
    put(li.use, "aria-label", "Switch to " + server.id);
    show(li.use, open && !own && server.reachable && connection.servers.some((other) => other.id === server.id));
  });
  say($("confirmed"), !open ? "Not connected: nothing is known of the servers." : view ? waitWords(view) : "");
  say($("where"), open ? "at " + connection.server().id : "not connected");
}

// Returns since when a server has not been heard. `age` is how old the view is, in milliseconds.
function heardWords(server, own, age, now) {
  if (own) return "your server";
  if (server.heard_ms === null) return "not heard yet";
  if (server.reachable && !server.silent) return "reachable";
  const since = new Date(now - age - server.heard_ms);
  const words = server.heard_ms + age < 60000 ? Math.round((server.heard_ms + age) / 1000) + " s ago" : "at " + timeWords(CLOCK, since);
  return (server.reachable ? "silent, heard " : "out of reach, heard ") + words;
}

function waitWords(view) {
  const confirmed = "Confirmed up to number " + view.confirmed.toLocaleString("en") + ".";
  if (view.tentative === 0) return confirmed + " Nothing waits.";
  const waits = view.waits_for || [];
  return confirmed + " " + counted(view.tentative, "entry waits", "entries wait") + (waits.length > 0 ? " for " + inWords(waits) + "." : ".");
}

// The panels at the sides, which narrow windows show one at a time over the posts.
class Drawers {
  constructor() {
    this.pairs = [["open-groups", "groups-panel"], ["open-details", "details-panel"]].map(([button, panel]) => ({ button: $(button), panel: $(panel) }));
    for (const pair of this.pairs) {
      pair.button.addEventListener("click", () => this.toggle(pair));
      pair.panel.querySelector(".close-drawer").addEventListener("click", () => this.close());
    }
    // All behind an open panel is inert, so a click there comes from the frame around it.
    $("middle").addEventListener("click", (event) => { if (event.target === $("middle")) this.close(); });
    // A window that becomes wide shows all of it again, also to screen readers.
    matchMedia("(min-width: 1080px)").addEventListener("change", () => this.close());
    matchMedia("(min-width: 720px)").addEventListener("change", () => this.close());
  }

  toggle(pair) {
    const open = pair.panel.classList.contains("open");
    this.close();
    if (open) return;
    pair.panel.classList.add("open");
    put(pair.button, "aria-expanded", "true");
    this.cover(true);
    pair.panel.querySelector(".close-drawer").focus();
    this.opened = pair;
  }

  cover(covered) { for (const part of $("middle").children) part.inert = covered; }

  // Closes the open panel and gives the focus back. Returns whether one was open.
  close() {
    const { opened } = this;
    if (!opened) return false;
    opened.panel.classList.remove("open");
    put(opened.button, "aria-expanded", "false");
    this.cover(false);
    this.opened = null;
    if (opened.button.offsetParent) opened.button.focus();
    return true;
  }
}
