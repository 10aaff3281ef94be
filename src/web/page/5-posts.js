// The list of posts on the screen: a window of some hundred posts of a list that may have thousands, which stays where one reads.
"use strict";

// Posts rendered at the end of the list, the most at once, and how many more at each step.
const WINDOW = 150;
const MOST_SHOWN = 300;
const STEP = 100;
// Nearer to an edge than this, in pixels, more is shown there; nearer to the end than `NEAR_END`, the list follows it.
const NEAR_EDGE = 500;
const NEAR_END = 48;
// Posts of one author within this time, in milliseconds, stand under one name.
const TOGETHER_MS = 5 * 60 * 1000;
// A post that came late and stands in sight for this long needs no button, in milliseconds.
const READ_MS = 12000;

// `acts` has: like(item), retry(entry), discard(entry), older(), read().
class PostList {
  constructor(user, acts) {
    Object.assign(this, { user, acts });
    this.box = $("posts");
    this.list = $("list");
    this.reset();
    this.box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.box.addEventListener("click", (event) => this.clicked(event));
    $("older").addEventListener("click", () => this.earlier());
    $("late").addEventListener("click", () => this.goToLate());
    $("newer").addEventListener("click", () => this.goToEnd());
    new ResizeObserver(() => { if (this.following) this.toEnd(); }).observe(this.box);
  }

  // Begins with another group.
  reset() {
    this.rows = [];
    this.firstKey = null;
    this.following = true;
    this.late = new Map();
    this.unreadBelow = 0;
    this.mark = null;
    this.list.replaceChildren();
    show($("late"), false);
    show($("newer"), false);
  }

  // Does something that may move the list, and puts it back: the end if it follows it, else the post at the top.
  hold(act) {
    const anchor = this.following ? null : this.anchor();
    act();
    if (this.following) this.toEnd();
    else this.restore(anchor);
  }

  // Shows `rows`; `more` says whether the server has older ones.
  render(rows, more) {
    this.hold(() => this.fill(rows, more));
    this.pills();
  }

  fill(rows, more) {
    this.rows = rows;
    this.more = more;
    const [from, to] = this.span();
    this.from = from;
    this.to = to;
    let above = from > 0 ? rows[from - 1] : null;
    const shown = rows.slice(from, to).map((item) => {
      const row = { item, above };
      above = item;
      return row;
    });
    sync(this.list, shown, (row) => row.item.key, (row) => this.create(row.item), (li, row) => this.update(li, row.item, row.above));
    show($("older"), from > 0 || more);
  }

  // Returns which rows are rendered, as a half-open range.
  span() {
    const count = this.rows.length;
    const first = this.following || this.firstKey === null ? -1 : this.rows.findIndex((row) => row.key === this.firstKey);
    if (first < 0) {
      const from = Math.max(0, count - WINDOW);
      this.firstKey = count > 0 ? this.rows[from].key : null;
      return [from, count];
    }
    return [first, Math.min(count, first + MOST_SHOWN)];
  }

  // Returns the post at the top of what is visible, and where it stands: it must not move when others come above it.
  anchor() {
    const top = this.box.getBoundingClientRect().top;
    for (const li of this.list.children) {
      const place = li.getBoundingClientRect();
      if (place.bottom > top) return { key: li.rowKey, at: place.top };
    }
    return null;
  }

  restore(anchor) {
    const li = anchor && this.element(anchor.key);
    if (!li) return;
    const moved = li.getBoundingClientRect().top - anchor.at;
    if (Math.abs(moved) >= 1) this.box.scrollTop += moved;
  }

  element(key) {
    for (const li of this.list.children) if (li.rowKey === key) return li;
    return null;
  }

  toEnd() { this.box.scrollTop = this.box.scrollHeight; }

  goToEnd() {
    this.following = true;
    this.unreadBelow = 0;
    this.render(this.rows, this.more);
    this.acts.read();
  }

  atEnd() {
    return this.to === this.rows.length && this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < NEAR_END;
  }

  scrolled() {
    const following = this.atEnd();
    if (following !== this.following) {
      this.following = following;
      if (following) {
        this.unreadBelow = 0;
        this.acts.read();
      } else this.firstKey = this.rows.length > 0 ? this.rows[this.from].key : null;
      this.pills();
    }
    if (this.following) return;
    if (this.box.scrollTop < NEAR_EDGE && (this.from > 0 || this.more)) this.earlier();
    else if (this.to < this.rows.length && this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < NEAR_EDGE) this.moveWindow(STEP);
  }

  earlier() {
    if (this.from > 0) this.moveWindow(-STEP);
    else if (this.more) this.acts.older();
  }

  moveWindow(step) {
    const from = Math.max(0, Math.min(this.rows.length - 1, this.from + step));
    this.following = false;
    this.firstKey = this.rows[from].key;
    this.render(this.rows, this.more);
  }

  // Keeps the window where it is when older posts have been put above: the first of them becomes its first.
  olderCame(rows, more) {
    this.rows = rows;
    const at = rows.findIndex((row) => row.key === this.firstKey);
    this.firstKey = rows.length > 0 ? rows[Math.max(0, at - STEP)].key : null;
    this.following = false;
    this.render(rows, more);
  }

  // Notes posts that came late, for the button.
  came(late) {
    for (const item of late) this.late.set(item.key, { since: null });
    this.pills();
  }

  // Notes how many posts of others have come below what is visible.
  cameBelow(count) {
    if (!this.following) this.unreadBelow += count;
  }

  // Shows the buttons above and below the list.
  pills() {
    const late = this.late.size;
    const below = this.unreadBelow;
    if (late > 0) this.pill($("late"), "up", counted(late, "older message", "older messages") + " arrived above");
    if (!this.following) this.pill($("newer"), "down", below > 0 ? counted(below, "new message", "new messages") : "To the newest");
    show($("late"), late > 0);
    show($("newer"), !this.following);
  }

  pill(button, arrow, words) {
    if (button.textContent !== words) button.replaceChildren(picture(arrow), words);
  }

  // Scrolls to the oldest post that came late and was not visited, and gives it the focus.
  goToLate() {
    const at = this.rows.findIndex((row) => this.late.has(row.key));
    if (at < 0) { this.late.clear(); this.pills(); return; }
    const key = this.rows[at].key;
    if (at < this.from || at >= this.to) {
      this.following = false;
      this.firstKey = this.rows[Math.max(0, at - Math.floor(STEP / 2))].key;
      this.render(this.rows, this.more);
    }
    const li = this.element(key);
    li.scrollIntoView({ block: "center" });
    li.focus({ preventScroll: true });
    for (const row of this.visible()) this.late.delete(row);
    this.late.delete(key);
    this.scrolled();
    this.pills();
  }

  // Returns the keys of the posts in sight.
  visible() {
    const box = this.box.getBoundingClientRect();
    return [...this.list.children].filter((li) => {
      const place = li.getBoundingClientRect();
      return place.top >= box.top - 1 && place.bottom <= box.bottom + 1;
    }).map((li) => li.rowKey);
  }

  // Forgets late posts that have been in sight for a while.
  tick(now) {
    if (this.late.size === 0 || document.hidden) return;
    const visible = new Set(this.visible());
    for (const [key, entry] of this.late) {
      if (!visible.has(key)) entry.since = null;
      else if (entry.since === null) entry.since = now;
      else if (now - entry.since > READ_MS) this.late.delete(key);
    }
    this.pills();
  }

  create(item) {
    const li = make("li", { class: "post", "data-testid": "post", tabindex: "-1" });
    const parts = {
      day: make("p", { class: "day" }),
      mark: make("p", { class: "mark", "data-testid": "new-line" }),
      face: make("span", { class: "face", "aria-hidden": "true" }),
      author: make("bdi", { class: "author" }),
      you: make("span", { class: "you" }, "you"),
      time: make("time"),
      tag: make("span", { class: "tag" }, "arrived late"),
      text: make("p", { class: "text", dir: "auto" }),
      trouble: make("div", { class: "trouble" }),
      state: make("span", { class: "state" }),
      like: make("button", { class: "like", type: "button", "data-testid": "like" }, picture("heart")),
      count: make("span", { class: "like-count", "data-testid": "like-count" }),
    };
    parts.like.append(parts.count);
    const meta = make("p", { class: "meta" }, parts.author, " ", parts.you, " ", parts.time, " ", parts.tag);
    const body = make("div", { class: "body" }, meta, parts.text, parts.trouble);
    const side = make("div", { class: "post-side" }, parts.state, parts.like);
    li.append(parts.day, parts.mark, make("article", { class: "bubble" }, parts.face, body, side));
    li.parts = parts;
    say(parts.face, [...item.user][0].toUpperCase());
    return li;
  }

  // Brings the element of a post up to date; `above` is the post over it, which decides about name and day.
  update(li, item, above) {
    const { parts } = li;
    const state = stateOf(item);
    const mine = item.user === this.user;
    const otherDay = !above || dayOf(above.time_ms) !== dayOf(item.time_ms);
    const marked = this.mark !== null && this.mark.key === item.key;
    const together = above && !otherDay && !marked && !item.late && !above.late && above.user === item.user &&
      Math.abs(item.time_ms - above.time_ms) < TOGETHER_MS;
    put(li, "data-id", item.id || "");
    put(li, "data-state", state);
    put(li, "data-late", item.late ? "true" : null);
    put(li, "data-missing", item.missing ? "true" : null);
    put(li, "data-mine", mine ? "true" : null);
    put(li, "class", "post" + (together ? " together" : ""));
    show(parts.day, otherDay);
    if (otherDay) say(parts.day, timeWords(DAY, item.time_ms));
    show(parts.mark, marked);
    if (marked) say(parts.mark, this.mark.words);
    say(parts.author, item.user);
    show(parts.you, mine);
    say(parts.time, timeWords(CLOCK, item.time_ms));
    put(parts.time, "title", timeWords(FULL, item.time_ms));
    show(parts.tag, item.late);
    say(parts.text, item.text);
    this.updateState(parts.state, item, state, mine);
    this.updateLike(parts, item);
    this.updateTrouble(li, item, state);
  }

  updateState(element, item, state, mine) {
    const words = item.missing ? "not at this server" : state === "sending" ? "sending" : state === "failed" ? "not sent"
      : state === "sent" ? "not final" : mine ? "confirmed" : "";
    if (element.words === words) return;
    element.words = words;
    element.replaceChildren();
    if (words === "") return;
    element.append(picture(words === "confirmed" ? "check" : "ring"), make("span", { class: "word" }, words));
    put(element, "title", STATE_TITLES[words] || null);
  }

  updateLike(parts, item) {
    const mine = item.likes.includes(this.user);
    const names = item.likes.map((name) => (name === this.user ? "you" : name));
    const count = item.likes.length;
    put(parts.like, "aria-pressed", mine ? "true" : "false");
    put(parts.like, "aria-label", count === 0 ? "Like" : "Like, " + counted(count, "like", "likes") + ": " + inWords(names));
    put(parts.like, "title", count === 0 ? "Like" : inWords(names));
    put(parts.like, "data-count", count);
    put(parts.like, "aria-disabled", item.id ? null : "true");
    say(parts.count, String(count));
  }

  updateTrouble(li, item, state) {
    const { trouble } = li.parts;
    const error = state === "failed" ? item.entry.error : "";
    show(trouble, error !== "");
    if (trouble.error === error) return;
    trouble.error = error;
    trouble.replaceChildren();
    if (error === "") return;
    trouble.append(make("span", { class: "error" }, "Not sent: " + error + "."),
      make("button", { type: "button", "data-testid": "retry" }, "Retry"),
      make("button", { type: "button", class: "plain", "data-testid": "discard" }, "Discard"));
  }

  clicked(event) {
    const button = event.target.closest("button");
    const li = event.target.closest("li.post");
    const item = button && li && this.rows.find((row) => row.key === li.rowKey);
    if (!item) return;
    const act = button.dataset.testid;
    if (act === "like" && item.id) this.acts.like(item);
    if (act === "retry" && item.entry) this.acts.retry(item.entry);
    if (act === "discard" && item.entry) this.acts.discard(item.entry);
  }
}

const STATE_TITLES = {
  "sending": "No server has stored this yet",
  "not final": "Another post may still be placed above this one",
  "confirmed": "Its place is the same at every server",
  "not at this server": "You have seen this post at another server; this one has not got it yet",
};

// Returns the state of a post in one word, for the page and for tests.
function stateOf(item) {
  if (item.entry) return item.entry.state;
  return item.number === null ? "sent" : "confirmed";
}
