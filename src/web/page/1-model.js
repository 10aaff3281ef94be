// The state of the page that needs no browser: the posts of a group in their order, own posts that wait, and what has been seen.
// Nothing here knows the DOM, a socket, storage or a clock, so each class can be tested by itself.
"use strict";

// A group keeps at most this many posts in memory; older ones are asked for again when somebody scrolls up.
const MOST_KEPT = 15000;
// Confirmed posts that are asked for again after a reconnection: likes that came meanwhile are told in no other way.
const ASKED_AGAIN = 200;

// Returns what makes a post the same post at every server: its author, the author's browser and its number there.
// A post of a program without a client key has only its id.
function keyOf(item) {
  return item.client === null || item.client === undefined ? item.id : [item.user, item.client, item.n].join("\n");
}

// The posts of one group as this page shows them: confirmed ones by number, then tentative ones in their order.
class Posts {
  constructor() {
    this.items = [];
    this.byKey = new Map();
    this.byId = new Map();
    // True when the server has older posts than the first one here.
    this.more = false;
    // All posts of the group above this number have been asked for.
    this.floor = 0;
    this.loaded = false;
    // True between `load` and `settle`: all posts here are as the server has them.
    this.fresh = false;
    this.incoming = null;
  }

  // Takes the last posts of the group, the first time it is opened. `confirmed` is the server's number just before it was asked.
  load(items, more, confirmed) {
    this.items = [];
    this.byKey.clear();
    this.byId.clear();
    for (const raw of items) this.items.push(this.adopt(raw));
    this.more = more;
    this.floor = more ? confirmed : 0;
    this.loaded = true;
    this.fresh = true;
  }

  // Returns the highest confirmed number of which everything below is here.
  top() {
    const last = this.items.findLast((item) => item.number !== null);
    return last ? last.number : this.floor;
  }

  // Returns the number above which posts are asked for when the page comes again.
  cursor() {
    if (this.fresh) return this.top();
    const confirmed = this.items.filter((item) => item.number !== null);
    if (confirmed.length > ASKED_AGAIN) return confirmed[confirmed.length - ASKED_AGAIN - 1].number;
    return this.more && confirmed.length > 0 ? confirmed[0].number - 1 : this.floor;
  }

  // Returns the number below which older posts are asked for.
  oldest() {
    const first = this.items.find((item) => item.number !== null);
    return first ? first.number : this.floor + 1;
  }

  // Adds older posts above the first.
  prepend(items, more) {
    const fresh = items.filter((raw) => !this.byKey.has(keyOf(raw)));
    this.items.unshift(...fresh.map((raw) => this.adopt(raw)));
    // A server that answers with nothing new has no more to give, whatever it says.
    this.more = more && fresh.length > 0;
    if (!this.more) this.floor = 0;
  }

  // Begins to collect what stands above the number `after`. The list stays as it is until `settle`, so that nothing flickers.
  begin(after) {
    this.incoming = { after, items: [] };
  }

  collect(items) {
    if (this.incoming) this.incoming.items.push(...items);
  }

  // Puts what was collected in place of all above `after`. What is new and stands above something known has come late.
  // With `lacks` the server has not all that was seen: posts that it does not have stay, marked as missing. Otherwise they
  // have been withdrawn. Own posts that wait (`waiting`: a set of keys) are not kept here: they are shown by the outbox.
  settle(lacks, waiting) {
    if (!this.incoming) return { late: [], added: [] };
    const { after, items } = this.incoming;
    this.incoming = null;
    this.fresh = false;
    const before = this.items;
    const kept = before.filter((item) => item.number !== null && item.number <= after && !item.missing);
    const keys = new Set(kept.map((item) => item.key));
    const known = new Set(before.map((item) => item.key));
    const tail = [];
    for (const raw of items) {
      const item = this.adopt(raw);
      if (keys.has(item.key)) continue;
      keys.add(item.key);
      tail.push(item);
    }
    const news = splitNews(tail, known);
    this.items = kept.concat(tail);
    if (lacks > 0) this.keepMissing(before, keys, waiting);
    this.index();
    return news;
  }

  // Puts posts that the server lacks back behind those that stood above them.
  keepMissing(before, keys, waiting) {
    let above = null;
    for (const item of before) {
      if (!keys.has(item.key) && !waiting.has(item.key)) {
        item.missing = true;
        this.items.splice(above === null ? 0 : this.items.indexOf(above) + 1, 0, item);
        keys.add(item.key);
      }
      if (keys.has(item.key)) above = item;
    }
  }

  // Inserts one post above the post `before`, or at the end. Returns how: "end", "late", "known", or "lost" if `before` is not
  // here: then the page should come again with its cursor.
  insert(raw, before, late) {
    const known = this.byKey.get(keyOf(raw));
    if (known) this.items.splice(this.items.indexOf(known), 1);
    const item = this.adopt(raw);
    const below = before === null ? undefined : this.byId.get(before);
    const at = below ? this.items.indexOf(below) : -1;
    if (at >= 0) this.items.splice(at, 0, item);
    else this.items.push(item);
    if (before !== null && at < 0) return "lost";
    if (known) return "known";
    if (late) item.late = true;
    return late ? "late" : "end";
  }

  number(pairs) {
    for (const { id, number } of pairs) {
      const item = this.byId.get(id);
      if (item) item.number = number;
    }
  }

  likes(id, likes) {
    const item = this.byId.get(id);
    if (item) item.likes = likes;
  }

  // Removes a withdrawn post. If another copy of it stands elsewhere, it takes that name: the copy comes, or is here.
  gone(id, now) {
    const item = this.byId.get(id);
    if (!item) return;
    this.byId.delete(id);
    if (now !== null && !this.byId.has(now)) {
      item.id = now;
      this.byId.set(now, item);
      return;
    }
    this.items.splice(this.items.indexOf(item), 1);
    this.byKey.delete(item.key);
  }

  // Returns the post that a message of the server describes: the one here, brought up to date, or a new one.
  adopt(raw) {
    const key = keyOf(raw);
    const item = this.byKey.get(key) || { key, late: false };
    if (item.id !== undefined && item.id !== raw.id) this.byId.delete(item.id);
    const { id, number, user, text, likes, time_ms, client, n } = raw;
    Object.assign(item, { id, number, user, text, likes, time_ms, client, n, missing: false });
    this.byKey.set(key, item);
    this.byId.set(item.id, item);
    return item;
  }

  index() {
    this.byKey = new Map(this.items.map((item) => [item.key, item]));
    this.byId = new Map(this.items.map((item) => [item.id, item]));
  }

  // Forgets posts that are missing although the server has all that was seen: they have been withdrawn.
  dropMissing() {
    this.items = this.items.filter((item) => !item.missing);
    this.index();
  }

  // Ends the marks of posts that came late, when the list is left.
  forgetLate() {
    for (const item of this.items) item.late = false;
  }

  // Forgets the oldest posts of a very long list. Not while somebody reads them: only the page knows.
  trim(most = MOST_KEPT) {
    if (this.items.length <= most) return;
    const dropped = this.items.splice(0, this.items.length - Math.ceil(most * 2 / 3));
    const last = dropped.findLast((item) => item.number !== null);
    if (last) this.floor = last.number;
    this.more = true;
    this.index();
  }
}

// Splits the new posts of `tail` into those above something known (late) and those behind all of it.
function splitNews(tail, known) {
  const news = { late: [], added: [] };
  let below = false;
  for (let i = tail.length - 1; i >= 0; i--) {
    if (known.has(tail[i].key)) below = true;
    else if (below) news.late.unshift(tail[i]);
    else news.added.unshift(tail[i]);
  }
  for (const item of news.late) item.late = true;
  return news;
}

// Own posts from the moment they are written until they are confirmed. The key of the storage carries `n`, so two windows of
// one browser do not overwrite each other, and a post that both send is one post.
class Outbox {
  constructor(user, client, drawer) {
    this.user = user;
    this.client = client;
    this.drawer = drawer;
    this.entries = drawer.all().sort((a, b) => a.n - b.n);
    // A post that an earlier page had sent may have been lost with its server: it is sent again, with the same n.
    for (const entry of this.entries) Object.assign(entry, { state: "sending", error: "", attempts: 0 });
  }

  add(group, n, text, time_ms) {
    const key = keyOf({ user: this.user, client: this.client, n });
    const entry = { key, group, n, text, time_ms, id: null, state: "sending", error: "", attempts: 0, sentAt: 0 };
    this.entries.push(entry);
    this.drawer.put(entry);
    return entry;
  }

  next() {
    return this.entries.find((entry) => entry.state === "sending");
  }

  sent(entry, id, now) {
    Object.assign(entry, { id, state: "sent", error: "", sentAt: now });
    this.drawer.put(entry);
  }

  fail(entry, error) {
    Object.assign(entry, { state: "failed", error });
  }

  retry(entry) {
    Object.assign(entry, { state: "sending", error: "", attempts: 0 });
  }

  drop(entry) {
    this.entries = this.entries.filter((other) => other !== entry);
    this.drawer.remove(entry);
  }

  // Sends again what the list of `group` does not have, and all of other groups with `others`: at a new server nothing shows
  // that it has them. A server that has them gives the same ids.
  sendAgain(group, posts, others) {
    for (const entry of this.entries) {
      const here = entry.group === group;
      if (entry.state === "sent" && (here ? !posts.byKey.has(entry.key) : others)) this.retry(entry);
    }
  }

  // Drops what the list shows as confirmed.
  settle(posts) {
    for (const entry of [...this.entries]) {
      const item = posts.byKey.get(entry.key);
      if (item && item.number !== null && !item.missing) this.drop(entry);
      else if (item && entry.state !== "sent") this.sent(entry, item.id, Infinity);
    }
  }

  // Drops what was stored at least `age` before `now` and is not in the list: it stands further up than the list reaches.
  dropOld(now, age, group, posts) {
    for (const entry of [...this.entries]) {
      if (entry.state !== "sent" || now - entry.sentAt < age) continue;
      if (group === null || (entry.group === group && !posts.byKey.has(entry.key))) this.drop(entry);
    }
  }

  keys() {
    return new Set(this.entries.map((entry) => entry.key));
  }

  // Returns the waiting posts of `group` that the list does not show itself, in the shape of its items.
  waiting(group, posts) {
    return this.entries.filter((entry) => entry.group === group && !posts.byKey.has(entry.key)).map((entry) => ({
      key: entry.key, id: entry.id, number: null, user: this.user, text: entry.text, likes: [], time_ms: entry.time_ms,
      client: this.client, n: entry.n, late: false, missing: false, entry,
    }));
  }
}

// The last multicast of each server of which something was seen, from the ids of posts.
class Seen {
  constructor(text) {
    this.last = new Map();
    for (const id of (text || "").split(",")) this.note(id);
  }

  note(id) {
    const dash = id ? id.lastIndexOf("-") : -1;
    const count = dash < 0 ? NaN : Number(id.slice(dash + 1));
    const server = dash < 0 ? "" : id.slice(0, dash);
    if (server && Number.isSafeInteger(count) && count > (this.last.get(server) || 0)) this.last.set(server, count);
  }

  toString() {
    return [...this.last].map(([server, count]) => server + "-" + count).join(",");
  }
}

// Returns the names in words: "s1", "s1 and s2", "s1, s2 and s3".
function inWords(names) {
  if (names.length < 2) return names.join("");
  return names.slice(0, -1).join(", ") + " and " + names[names.length - 1];
}

// Returns what a partition means for a reader, or "" when all servers are reachable.
function partitionWords(view) {
  const away = view.servers.filter((server) => !server.reachable).map((server) => server.id);
  if (away.length === 0) return "";
  const here = view.servers.filter((server) => server.reachable).map((server) => server.id);
  const waits = view.waits_for && view.waits_for.length > 0 ? view.waits_for : away;
  const seen = here.length === 1 ? "only " + here[0] : inWords(here);
  return "You see " + seen + " of " + view.servers.length + " servers. New messages are not final until " +
    inWords(waits) + (waits.length === 1 ? " is back." : " are back.");
}

// Returns `count` with the word in the singular or the plural.
function counted(count, one, many) {
  return count.toLocaleString("en") + " " + (count === 1 ? one : many);
}
