// The chat of one user: the groups, the open group, and what happens on each event and each key.
"use strict";

// Characters of a post at most, and from where the counter is shown.
const MOST_CHARACTERS = 4000;
const COUNT_FROM = 3500;
// How often a server that lacks posts is asked whether it still does, in milliseconds.
const LACKS_MS = 4000;
// Posts asked for at once.
const PAGE = 200;

class Chat {
  constructor(user, store, refuse) {
    Object.assign(this, { user, store, refuse });
    this.client = store.client();
    this.mine = store.groups(user);
    this.current = this.mine.includes(store.group(user)) ? store.group(user) : this.mine[0] || null;
    this.lists = new Map();
    this.outbox = new Outbox(user, this.client, store.drawer(user));
    this.seenLast = new Seen(store.window.get("seen"));
    this.known = [];
    this.drafts = new Map();
    // Events that wait until the list is whole.
    this.waiting = [];
    this.hiddenNotices = new Set();
    // Groups left from this page: a message that is under way may still call them joined.
    this.left = new Set();
    this.view = null;
    this.viewAt = 0;
    this.lacks = 0;
    this.lostAt = Date.now();
    this.connection = new Connection(user, this.client, store, this);
    this.sender = new Sender(this);
    this.reading = new Reading(this);
    this.list = new PostList(user, this);
    this.drawers = new Drawers();
    this.stopping = new AbortController();
  }

  start() {
    say($("me"), this.user);
    this.listen();
    this.open(this.current);
    this.connection.start();
    this.timer = setInterval(() => this.tick(), 1000);
    this.draw();
    $("text").focus();
  }

  stop() {
    this.stopping.abort();
    clearInterval(this.timer);
    clearTimeout(this.reading.reporting);
    this.connection.stop();
  }

  posts() { return this.lists.get(this.current) || new Posts(); }

  // For the connection: it asks for these.

  groups() { return this.mine; }
  group() { return this.current; }

  cursor() {
    this.after = this.posts().cursor();
    return this.after;
  }

  seen() { return this.seenLast.toString(); }

  changed() {
    const open = this.connection.phase === "open";
    if (!open && this.wasOpen) this.lostAt = Date.now();
    this.wasOpen = open;
    this.draw();
  }

  // Fills the list of a group that is opened for the first time with its last posts.
  async prepare(connection) {
    const group = this.current;
    if (group === null) return;
    if (this.posts().loaded) {
      // Older posts may have been liked meanwhile: they are asked for again when somebody scrolls up.
      if (this.list.following) this.posts().trim(PAGE);
      return;
    }
    const { confirmed } = await connection.ask("/api/view");
    const answer = await connection.ask("/api/history?" + query({ group, limit: PAGE, seen: this.seen() })).catch((error) => {
      // A group without a post may be unknown.
      if (error.status === 404) return { items: [], more: false };
      throw error;
    });
    const posts = this.lists.get(group);
    if (!posts || posts.loaded) return;
    posts.load(answer.items, answer.more, confirmed);
    this.noteSeen(answer.items);
    this.draw();
  }

  refused(error) { this.refuse(error.message); }

  // Forgets a group that no server takes.
  notJoined(group) { this.keepMine(this.mine.filter((name) => name !== group)); }

  // Events of the server.

  on(event) {
    // The list is being collected anew: changes of it wait until it is whole.
    if (this.posts().incoming && ["item", "numbers", "likes", "gone"].includes(event.event)) this.waiting.push(event);
    else this.take(event);
    this.drawSoon();
  }

  take(event) {
    const act = {
      hello: () => this.hello(event), items: () => this.items(event), item: () => this.item(event), numbers: () => this.numbers(event),
      likes: () => this.posts().likes(event.id, event.likes), gone: () => this.gone(event),
      groups: () => this.takeGroups(event.groups), view: () => this.takeView(event),
      reset: () => this.posts().begin(event.after),
    }[event.event];
    if (act) act();
  }

  hello(event) {
    // Another cluster, or one that was set up anew: what was seen in the old one means nothing here.
    const kept = this.store.window.get("cluster");
    this.store.window.set("cluster", String(event.cluster));
    if (kept !== null && kept !== String(event.cluster)) {
      this.forgetPosts();
      return;
    }
    this.waiting = [];
    this.allGroups = true;
    this.newServer = this.lastServer !== undefined && this.lastServer !== event.server;
    this.lastServer = event.server;
    this.lacks = event.lacks || 0;
    if (this.current !== null) this.posts().begin(this.after);
    else {
      this.outbox.sendAgain(null, null, this.newServer);
      this.sender.flush();
    }
  }

  items(event) {
    const posts = this.posts();
    posts.collect(event.items);
    this.noteSeen(event.items);
    if (!event.last) return;
    const first = !this.lists.get(this.current)?.drawn;
    const { late, added } = posts.settle(this.lacks, this.outbox.keys());
    posts.drawn = true;
    for (const waiting of this.waiting.splice(0)) this.take(waiting);
    this.outbox.settle(posts);
    this.outbox.sendAgain(this.current, posts, this.newServer);
    this.newServer = false;
    this.reading.placeMark();
    if (!first) this.announce(late, added);
    if (this.list.following) posts.trim();
    this.sender.flush();
    this.reading.read();
  }

  item(event) {
    const posts = this.posts();
    this.seenLast.note(event.item.id);
    const how = posts.insert(event.item, event.before, event.late === true);
    this.outbox.settle(posts);
    const item = posts.byId.get(event.item.id);
    if (how === "late") this.announce([item], []);
    if (how === "end") this.announce([], [item]);
    if (how === "lost") this.comeAgain();
    if (this.list.following) posts.trim();
    this.reading.read();
  }

  // Comes again with the cursor when the list does not fit what the server says; not more than once in ten seconds.
  comeAgain() {
    if (Date.now() - (this.cameAgainAt || 0) < 10000) return;
    this.cameAgainAt = Date.now();
    this.connection.again();
  }

  numbers(event) {
    this.posts().number(event.items);
    this.outbox.settle(this.posts());
    this.reading.read();
  }

  gone(event) {
    this.posts().gone(event.id, event.now);
    if (event.now !== null) return;
    // An own post was withdrawn with its server: offer to send it again.
    const waiting = this.outbox.entries.find((entry) => entry.id === event.id);
    if (waiting) this.outbox.fail(waiting, "it was withdrawn with its server");
  }

  // Takes groups that have changed; after a hello they are all that there are.
  takeGroups(groups) {
    const names = new Set(groups.map((group) => group.group));
    this.known = this.allGroups ? groups : this.known.filter((group) => !names.has(group.group)).concat(groups);
    this.allGroups = false;
    // Groups that the user has joined in another browser are the user's here too.
    const more = groups.filter((group) => group.joined && !this.mine.includes(group.group) && !this.left.has(group.group));
    if (more.length > 0) this.keepMine([...this.mine, ...more.map((group) => group.group)]);
    if (this.current !== null) this.reading.placeMark();
    this.reading.recount(groups);
    this.reading.read();
  }

  takeView(view) {
    this.view = view;
    this.viewAt = Date.now();
    // All is confirmed here: stored posts of groups that are not open need not be kept any more.
    if (view.tentative === 0 && this.lacks === 0) this.outbox.dropOld(Date.now(), SHOWN_AFTER_MS, null, null);
  }

  noteSeen(items) {
    for (const item of items) this.seenLast.note(item.id);
    this.store.window.set("seen", this.seenLast.toString());
  }

  forgetPosts() {
    this.lists.clear();
    this.seenLast = new Seen("");
    this.store.window.remove("seen");
    this.list.reset();
    if (this.current !== null) this.lists.set(this.current, new Posts());
    this.connection.again();
  }

  // Tells about posts that have come: late ones by the button and the status, others by the log for screen readers.
  announce(late, added) {
    const others = added.filter((item) => item.user !== this.user);
    const lateOthers = late.filter((item) => item.user !== this.user);
    if (lateOthers.length > 0) {
      this.list.came(lateOthers);
      this.tell("status", counted(this.list.late.size, "older message", "older messages") + " arrived above");
    }
    this.list.cameBelow(others.length);
    if (!this.reading.attentive()) this.reading.markAt(others[0]);
    const log = $("log");
    for (const item of others.slice(-5)) log.append(make("p", {}, item.user + ": " + item.text));
    // The log grows at its end; what was read out long ago is not found twice by somebody who browses the page.
    setTimeout(() => { for (let i = 0; i < Math.min(5, others.length) && log.firstChild; i++) log.firstChild.remove(); }, 20000);
  }

  // Says something for a while: in "status" to screen readers alone, in "toast" to all.
  tell(place, text) {
    say($(place), text);
    setTimeout(() => { if ($(place).textContent === text) say($(place), ""); }, 8000);
  }

  // Somebody came to the end of the list.
  read() { this.reading.read(); }

  entry(name) { return this.known.find((group) => group.group === name); }

  // Groups.

  // Opens a group that the user is in.
  open(name) {
    if (this.current !== null) {
      this.drafts.set(this.current, $("text").value);
      this.posts().forgetLate();
      this.reading.reset();
    }
    this.current = name;
    this.list.reset();
    this.lacks = 0;
    if (name !== null) {
      if (!this.lists.has(name)) this.lists.set(name, new Posts());
      this.store.keepGroup(this.user, name);
    }
    $("text").value = this.drafts.get(name) || "";
    this.grow();
    this.draw();
  }

  choose(name) {
    this.drawers.close();
    if (!this.mine.includes(name)) { this.join(name); return; }
    if (name !== this.current) {
      this.open(name);
      this.connection.again();
    }
    $("text").focus();
  }

  async join(name) {
    say($("join-error"), "");
    if (!this.mine.includes(name)) {
      try {
        await this.connection.askAsUser("/api/join", { group: name });
      } catch (error) {
        say($("join-error"), "Cannot join: " + error.message + ".");
        return;
      }
      this.connection.joined.add(name);
      this.left.delete(name);
      if (!this.mine.includes(name)) this.keepMine([...this.mine, name]);
    }
    $("group-name").value = "";
    this.choose(name);
  }

  async leave() {
    const name = this.current;
    try {
      await this.connection.askAsUser("/api/leave", { group: name });
    } catch (error) {
      this.tell("toast", "Cannot leave: " + error.message + ".");
      return;
    }
    this.connection.joined.delete(name);
    this.left.add(name);
    this.lists.delete(name);
    this.keepMine(this.mine.filter((group) => group !== name));
    this.known = this.known.map((group) => (group.group === name ? { ...group, joined: false } : group));
    this.open(this.mine[0] || null);
    this.connection.again();
    $("group-name").focus();
  }

  keepMine(groups) {
    this.mine = groups;
    this.store.keepGroups(this.user, groups);
  }

  // Posts.

  async older() {
    const group = this.current;
    const posts = this.posts();
    if (this.loading || !posts.more) return;
    this.loading = true;
    try {
      const answer = await this.connection.ask("/api/history?" + query({ group, before: posts.oldest(), limit: PAGE }));
      posts.prepend(answer.items, answer.more);
      if (group === this.current) this.list.olderCame(this.rows(), posts.more);
    } catch { /* The button stays: it can be pressed again. */ }
    this.loading = false;
  }

  send() {
    const text = $("text").value.replace(/\s+$/, "");
    if (text === "" || this.current === null || [...text].length > MOST_CHARACTERS) return;
    this.outbox.add(this.current, this.store.nextNumber(), text, Date.now());
    $("text").value = "";
    this.grow();
    this.list.following = true;
    this.list.mark = null;
    this.draw();
    this.sender.flush();
  }

  retry(entry) {
    this.outbox.retry(entry);
    this.draw();
    this.sender.flush();
    this.connection.tryNow();
    $("text").focus();
  }

  discard(entry) {
    this.outbox.drop(entry);
    this.draw();
    $("text").focus();
  }

  async like(item) {
    const on = !item.likes.includes(this.user);
    const before = item.likes;
    item.likes = on ? [...before, this.user] : before.filter((name) => name !== this.user);
    this.draw();
    try {
      await this.connection.askAsUser("/api/like", { id: item.id, on });
    } catch (error) {
      item.likes = before;
      this.tell("toast", "Cannot like: " + error.message + ".");
      this.draw();
    }
  }

  // Drawing.

  // Draws once for all events of a moment. A hidden page gets no frames, so it uses a timer.
  drawSoon() {
    if (this.drawing) return;
    this.drawing = true;
    const draw = () => {
      this.drawing = false;
      if (!this.stopping.signal.aborted) this.draw();
    };
    if (document.hidden) setTimeout(draw, 200);
    else requestAnimationFrame(draw);
  }

  rows() { return this.posts().items.concat(this.outbox.waiting(this.current, this.posts())); }

  draw() {
    const now = Date.now();
    const groups = this.groupRows();
    const group = groups.find((entry) => entry.group === this.current);
    const rows = this.current === null ? [] : this.rows();
    this.list.hold(() => this.drawAround(group, rows, now));
    this.list.render(rows, this.posts().more);
    showGroups(groups, this.current, this);
    showMembers(group && this.current !== null ? group : null, this.user);
    showServers(this.view, this.viewAt, this.connection, now, (id) => this.connection.moveTo(id));
    const unread = groups.reduce((sum, entry) => sum + (entry.joined ? entry.unread : 0), 0);
    const title = (unread > 0 ? "(" + unread + ") " : "") + (this.current === null ? "groupcast chat" : this.current + " – groupcast chat");
    if (document.title !== title) document.title = title;
  }

  // Draws what stands above and below the list and so may move it.
  drawAround(group, rows, now) {
    this.drawMiddle(group, rows);
    const open = this.connection.phase === "open";
    const words = [showBanner(this.connection, this.lostAt, now), showPartition(this.view, open), showLacks(this.lastServer, this.lacks)];
    const news = words.filter((part) => part !== "").join(" ");
    if (news !== this.news) say($("news"), news === "" && this.news ? "Connected to " + this.lastServer + ". All servers are reachable." : news);
    this.news = news;
  }

  drawMiddle(group, rows) {
    const inGroup = this.current !== null;
    say($("title"), inGroup ? this.current : "No group yet");
    show($("leave"), inGroup);
    show($("compose"), inGroup);
    put($("text"), "placeholder", inGroup ? "Message to " + this.current : null);
    put($("posts"), "aria-label", inGroup ? "Posts in " + this.current : "Posts");
    const loading = inGroup && !this.posts().drawn && rows.length === 0;
    show($("empty"), rows.length === 0 && !loading);
    say($("empty"), inGroup ? "Nothing here yet. Write the first message." : "Join a group, or make one by giving it a new name.");
    const notice = inGroup && group && group.notice && !this.hiddenNotices.has(group.notice) ? group.notice : "";
    show($("notice"), notice !== "");
    say($("notice-text"), notice);
  }

  // Returns all groups, those of the user first, with the unread counts that this page has to show.
  groupRows() {
    const rows = this.known.map((group) => {
      return { ...group, joined: this.mine.includes(group.group), unread: this.reading.unread(group) };
    });
    for (const name of this.mine) {
      if (!rows.some((group) => group.group === name)) rows.push({ group: name, users: [this.user], unreachable: [], unread: 0, joined: true, notice: null });
    }
    return rows.sort((a, b) => (a.group < b.group ? -1 : 1));
  }

  tick() {
    const now = Date.now();
    this.list.tick(now);
    this.askLacks(now);
    this.sender.tick(now);
    this.draw();
  }

  // Asks from time to time whether the server still lacks something that was seen.
  async askLacks(now) {
    if (this.lacks === 0 || this.connection.phase !== "open" || this.current === null || now - (this.askedLacksAt || 0) < LACKS_MS) return;
    this.askedLacksAt = now;
    const group = this.current;
    const answer = await this.connection.ask("/api/history?" + query({ group, limit: 1, seen: this.seen() })).catch(() => null);
    if (!answer || group !== this.current || this.connection.phase !== "open") return;
    this.lacks = answer.lacks || 0;
    if (this.lacks === 0) this.posts().dropMissing();
    this.drawSoon();
  }

  // Keys and buttons.

  listen() {
    const { signal } = this.stopping;
    const on = (target, name, act) => target.addEventListener(name, act, { signal });
    on($("join-form"), "submit", (event) => { event.preventDefault(); this.joinNamed(); });
    on($("compose"), "submit", (event) => { event.preventDefault(); this.send(); });
    on($("text"), "input", () => this.grow());
    on($("text"), "keydown", (event) => this.typed(event));
    on($("leave"), "click", () => this.leave());
    on($("try-now"), "click", () => this.connection.tryNow());
    on($("open-help"), "click", () => $("help").showModal());
    on($("notice-close"), "click", () => this.hideNotice());
    on(document, "keydown", (event) => this.pressed(event));
    on(document, "visibilitychange", () => this.attend());
    on(window, "focus", () => this.attend());
    on(window, "blur", () => this.reading.turnAway());
    on(window, "online", () => this.connection.tryNow());
  }

  joinNamed() {
    const name = $("group-name").value.trim();
    if (name !== "") this.join(name);
  }

  hideNotice() {
    const group = this.entry(this.current);
    if (group) this.hiddenNotices.add(group.notice);
    this.draw();
    $("text").focus();
  }

  attend() {
    if (!this.reading.attentive()) {
      this.reading.turnAway();
      return;
    }
    this.reading.read();
    this.draw();
  }

  typed(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.send();
  }

  pressed(event) {
    if ($("help").open || event.isComposing) return;
    if (event.key === "Escape" && !this.drawers.close()) $("text").focus();
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || !step || $("text").value !== "" || this.mine.length < 2) return;
    event.preventDefault();
    const names = this.groupRows().filter((group) => group.joined).map((group) => group.group);
    this.choose(names[(names.indexOf(this.current) + step + names.length) % names.length]);
  }

  // Fits the text field to its text, and shows how much is left near the limit.
  grow() {
    const text = $("text");
    text.style.height = "auto";
    text.style.height = text.scrollHeight + 2 + "px";
    const length = [...text.value].length;
    const over = length > MOST_CHARACTERS;
    put($("count"), "data-over", over ? "true" : null);
    put(text, "aria-invalid", over ? "true" : null);
    say($("count"), over ? counted(length - MOST_CHARACTERS, "character", "characters") + " too many"
      : length >= COUNT_FROM ? counted(MOST_CHARACTERS - length, "character", "characters") + " left" : "");
  }
}
