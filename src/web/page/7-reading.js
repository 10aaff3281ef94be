// Reading: the line above what is new, and up to where the user has read.
"use strict";

// How long after it is shown a post is reported as read, in milliseconds: each report is a multicast, so several posts share one.
const READ_AFTER_MS = 1500;

class Reading {
  constructor(chat) {
    this.chat = chat;
    // For each group, how many of the posts that the server calls unread this page has shown: tentative ones, which have no
    // number to report yet.
    this.shown = new Map();
    this.reported = new Map();
    this.reporting = null;
    // The group whose line has been placed.
    this.marked = null;
    this.leftAt = 0;
  }

  // Returns how many posts of a group are new to the user, from what the server says.
  unread(group) {
    const here = group.group === this.chat.current && this.chat.list.following && this.attentive();
    return here ? 0 : Math.max(0, (group.unread || 0) - (this.shown.get(group.group) || 0));
  }

  // Takes new counts of the server: what it counts no more was reported.
  recount(groups) {
    for (const { group, unread } of groups) if (this.shown.get(group) > unread) this.shown.set(group, unread);
  }

  // Begins with another group.
  reset() {
    if (this.reporting) this.report();
    this.marked = null;
  }

  // Returns whether somebody is at this window.
  attentive() { return !document.hidden && document.hasFocus(); }

  // Draws the "new" line above `item`, if there is none yet.
  markAt(item) {
    if (!item || this.chat.list.mark !== null) return;
    this.chat.list.mark = { key: item.key, words: "New since " + timeWords(CLOCK, this.leftAt || item.time_ms) };
  }

  // Places the line when a group is opened: above the first post that its user has not read anywhere.
  placeMark() {
    const group = this.chat.entry(this.chat.current);
    const posts = this.chat.posts();
    if (this.marked === this.chat.current || !group || !posts.drawn) return;
    this.marked = this.chat.current;
    const unread = group.unread - (this.shown.get(group.group) || 0);
    if (unread <= 0) return;
    const others = posts.items.filter((item) => item.user !== this.chat.user);
    const beyond = typeof group.read === "number" ? others.filter((item) => item.number === null || item.number > group.read) : others;
    const first = beyond[Math.max(0, beyond.length - unread)];
    if (!first) return;
    const last = posts.items[posts.items.indexOf(first) - 1];
    const since = last ? " since " + timeWords(CLOCK, last.time_ms) : "";
    this.chat.list.mark = { key: first.key, words: counted(unread, "new message", "new messages") + since };
  }

  // Reports what has been read, when the end of the list is in sight.
  read() {
    const group = this.chat.entry(this.chat.current);
    const posts = this.chat.posts();
    if (!group || !posts.drawn || !this.chat.list.following || !this.attentive() || this.chat.connection.phase !== "open") return;
    this.placeMark();
    this.shown.set(this.chat.current, Math.max(group.unread, this.shown.get(this.chat.current) || 0));
    if (!this.reporting) this.reporting = setTimeout(() => this.report(), READ_AFTER_MS);
  }

  // Tells the server up to where the open group has been read.
  report() {
    clearTimeout(this.reporting);
    this.reporting = null;
    const group = this.chat.current;
    const number = this.chat.posts().top();
    if (group === null || !this.chat.list.following || !this.chat.posts().drawn || number <= (this.reported.get(group) || 0)) return;
    this.reported.set(group, number);
    this.chat.connection.askAsUser("/api/read", { group, number }).catch(() => this.reported.delete(group));
  }

  // Begins to count what is new: the next post gets the line above it.
  turnAway() {
    if (this.attentive()) return;
    this.leftAt = Date.now();
    if (this.chat.list.following) this.chat.list.mark = null;
  }
}
