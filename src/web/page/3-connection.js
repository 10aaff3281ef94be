// The connection: which server, which session, one socket for the open group. It goes on at the next server of the cluster file
// when one is lost, and tells the page what it does. It does not know what posts are.
"use strict";

// How long a server may take to answer, in milliseconds; then the next one is tried.
const ANSWER_MS = 5000;
// Silence after which the page asks whether the server is there: a browser does not show pings.
const SILENCE_MS = 10000;
// Waits after a round in which no server answered.
const PAUSES_MS = [2000, 4000, 8000, 15000];

// How a visit ends when the server gives no sign of life, and when the page ends it: codes of the page's own.
const GONE = -1;
const ASKED = -2;

// The refusal of a server, or `status` 0 when it gave no answer.
class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// Sends one request to the server at `web` ("host:port") and returns its JSON.
async function ask(web, path, body) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), ANSWER_MS);
  const how = { signal: stop.signal, cache: "no-store" };
  if (body) Object.assign(how, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  try {
    const response = await fetch(location.protocol + "//" + web + path, how);
    const answer = (await response.json().catch(() => null)) || {};
    if (response.ok) return answer;
    throw new Refusal(response.status, answer.error || "the server answered with status " + response.status);
  } catch (error) {
    throw error instanceof Refusal ? error : new Refusal(0, "the server does not answer");
  } finally {
    clearTimeout(timer);
  }
}

function wait(ms) {
  return new Promise((done) => setTimeout(done, ms));
}

// Returns the parameters that are there, as the query of an address.
function query(parameters) {
  const there = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return new URLSearchParams(there.map(([name, value]) => [name, String(value)])).toString();
}

// `page` has: groups() to be in, group() that is open, prepare(connection) before the socket opens, cursor(), seen(),
// on(event) for each event, changed() for each change of `phase`, refused(error) when the name is not taken, notJoined(group).
class Connection {
  constructor(user, client, store, page) {
    Object.assign(this, { user, client, store, page });
    // "connecting", "open", or "waiting" for the next round.
    this.phase = "connecting";
    this.tried = [];
    this.retryAt = 0;
    this.socket = null;
    this.session = store.window.json("session", null);
    this.joined = new Set();
    this.turn = 0;
    this.rounds = 0;
    this.heardAt = 0;
    this.servers = startList(store.servers());
    this.at = this.servers.findIndex((server) => server.web === location.host);
    this.hurry = () => {};
  }

  server() { return this.servers[this.at]; }

  ask(path, body) { return ask(this.server().web, path, body); }

  askAsUser(path, body) { return this.ask(path, { session: this.session && this.session.id, ...body }); }

  start() {
    this.run(++this.turn);
    this.watch = setInterval(() => this.check(), 2500);
  }

  stop() {
    this.turn++;
    clearInterval(this.watch);
    if (this.socket) this.socket.finish(ASKED);
  }

  // Opens a socket for another group, or with a new session.
  again() {
    if (this.phase === "open" && this.socket) this.socket.finish(ASKED);
    else this.tryNow();
  }

  // Ends the wait between two rounds.
  tryNow() { this.hurry(); }

  // Goes to the server `id` because the user wishes it.
  moveTo(id) {
    const at = this.servers.findIndex((server) => server.id === id);
    if (at < 0 || at === this.at) return;
    this.at = at;
    this.tried = [];
    this.restart();
  }

  restart() {
    const turn = ++this.turn;
    if (this.socket) this.socket.finish(ASKED);
    this.run(turn);
  }

  // Visits servers until `stop`. A later run ends this one: `turn` has grown.
  async run(turn) {
    // Visits in a row that ended soon.
    let short = 0;
    while (turn === this.turn) {
      this.enter("connecting");
      const began = Date.now();
      const end = await this.visit(turn);
      if (turn !== this.turn) return;
      if (end.opened) this.tried = [];
      if (end.asked) continue;
      short = end.opened && Date.now() - began > 3000 ? 0 : short + 1;
      // The same server is tried once more. One that loses the page again and again is asked with pauses, and then left.
      const stay = end.again ? short < 6 : end.opened && !end.dead && short < 3;
      if (stay) await wait(100 * short);
      else await this.next();
    }
  }

  // Takes the next server in the order of the cluster file; pauses when all have been tried.
  async next() {
    this.tried.push(this.server().id || this.server().web);
    this.at = (this.at + 1) % this.servers.length;
    if (this.tried.length < this.servers.length) return;
    const pause = PAUSES_MS[Math.min(this.rounds++, PAUSES_MS.length - 1)];
    this.retryAt = Date.now() + pause;
    this.enter("waiting");
    await new Promise((done) => {
      this.hurry = done;
      setTimeout(done, pause);
    });
    this.hurry = () => {};
    this.tried = [];
  }

  enter(phase) {
    this.phase = phase;
    this.page.changed();
  }

  // Is at one server until it ends. Returns how: `opened` if it said hello, `asked` if the page wished it, `again` to come
  // to the same one, `dead` if it fell silent.
  async visit(turn) {
    const group = this.page.group();
    try {
      await this.enrol(turn);
      await this.page.prepare(this);
    } catch (error) {
      // An answer of another shape is as good as none.
      if (!(error instanceof Refusal)) console.error(error);
      if (error.status === 401) this.forgetSession();
      return { again: error.status === 401 };
    }
    if (turn !== this.turn) return {};
    // Somebody chose another group meanwhile: its list is not prepared.
    return group === this.page.group() ? this.listen() : { asked: true };
  }

  // Has a session at this server that is in all groups of the user.
  async enrol(turn) {
    const { web } = this.server();
    if (!this.session || this.session.web !== web || this.session.user !== this.user) await this.begin(web, turn);
    for (const group of this.page.groups()) {
      if (this.joined.has(group)) continue;
      try {
        await this.askAsUser("/api/join", { group });
        this.joined.add(group);
      } catch (error) {
        if (error.status !== 400) throw error;
        this.page.notJoined(group);
      }
    }
  }

  async begin(web, turn) {
    try {
      const { session } = await ask(web, "/api/session", { user: this.user, client: this.client });
      if (turn !== this.turn) return;
      this.session = { web, user: this.user, id: session };
      this.joined.clear();
      this.store.window.set("session", JSON.stringify(this.session));
    } catch (error) {
      if (error.status === 400 && turn === this.turn) {
        this.stop();
        this.page.refused(error);
      }
      throw error;
    }
  }

  forgetSession() {
    this.session = null;
    this.store.window.remove("session");
  }

  // Opens the socket and hands its events on until it ends.
  listen() {
    return new Promise((done) => {
      const group = this.page.group();
      const socket = new WebSocket(this.address(group));
      const end = { opened: false, asked: false, again: false, dead: false };
      // Closing a socket to a host that is gone takes a minute: the visit ends without waiting for it.
      socket.finish = (code) => {
        clearTimeout(timer);
        socket.onmessage = socket.onclose = null;
        socket.close();
        if (this.socket === socket) this.socket = null;
        if (code === 4001) this.forgetSession();
        // 4000: this page was too slow, and comes again with its cursor.
        end.again = code === 4000 || code === 4001;
        end.asked = code === ASKED;
        end.dead = code === GONE || code === 1001;
        done(end);
      };
      const timer = setTimeout(() => socket.finish(GONE), ANSWER_MS);
      socket.onclose = ({ code }) => socket.finish(code);
      socket.onmessage = ({ data }) => this.hear(readEvent(data), socket, group, end, timer);
      this.socket = socket;
    });
  }

  address(group) {
    const scheme = location.protocol === "https:" ? "wss://" : "ws://";
    const after = group === null ? null : this.page.cursor();
    return scheme + this.server().web + "/ws?" + query({ group, after, seen: this.page.seen(), session: this.session.id });
  }

  hear(event, socket, group, end, timer) {
    this.heardAt = Date.now();
    if (!event) return;
    if (event.event === "hello") {
      clearTimeout(timer);
      end.opened = true;
      this.rounds = 0;
      this.learnOwnName(event.server);
      this.enter("open");
      // Somebody chose another group meanwhile.
      if (group !== this.page.group()) { socket.finish(ASKED); return; }
    }
    try {
      if (event.event === "view") this.learnServers(event);
      this.page.on(event);
    } catch (error) {
      // An event that this page does not understand: it comes again, and leaves a server that goes on so.
      console.error(error);
      socket.finish(1006);
    }
  }

  // Asks a silent server whether it is there. Two failures in a row end the visit.
  async check() {
    const socket = this.socket;
    if (this.phase !== "open" || !socket || this.checking || Date.now() - this.heardAt < SILENCE_MS) return;
    this.checking = true;
    let there = false;
    for (let i = 0; i < 2 && !there; i++) {
      there = await this.ask("/healthz").then(() => true, (error) => error.status !== 0);
    }
    this.checking = false;
    if (there) this.heardAt = Date.now();
    else if (this.socket === socket) socket.finish(GONE);
  }

  // Makes `check` ask now, after a request without an answer.
  suspect() {
    this.heardAt = 0;
    this.check();
  }

  learnOwnName(id) {
    this.server().id = id;
    const here = this.server();
    this.servers = this.servers.filter((server) => server === here || server.id !== id);
    this.at = this.servers.indexOf(here);
  }

  // Keeps the list of servers in the order of the cluster file. The address in use stays as it is: it works.
  learnServers(view) {
    const here = this.server();
    const list = view.servers.filter((server) => server.web || server.id === view.server)
      .map(({ id, web }) => ({ id, web: id === view.server ? here.web : reachableFromHere(web) }));
    if (list.length === 0 || !list.some((server) => server.web === here.web)) return;
    this.servers = list;
    this.at = list.findIndex((server) => server.web === here.web);
    this.store.keepServers(list);
  }
}

// Returns the servers to begin with: the one that gave the page, at its place among those of the last time.
function startList(kept) {
  return kept.some((server) => server.web === location.host) ? kept : [{ id: null, web: location.host }, ...kept];
}

// Returns an address that a browser can use: a server that listens everywhere is on this page's host.
function reachableFromHere(web) {
  return web.replace(/^(0\.0\.0\.0|\[::\])(?=:\d+$)/, location.hostname);
}

// Returns the event of a frame, or null if it is none.
function readEvent(text) {
  try {
    const event = JSON.parse(text);
    return event && typeof event.event === "string" ? event : null;
  } catch { return null; }
}
