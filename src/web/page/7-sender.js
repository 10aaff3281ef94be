// Sending own posts: one after the other, again after a passing failure, and always with the same n.
"use strict";

// A stored post that the list has not shown after this time stands further up than the list reaches, in milliseconds.
const SHOWN_AFTER_MS = 10000;
// Without any server for this long, own posts say that they were not sent, in milliseconds. They are still sent later.
const GIVE_UP_MS = 15000;
const ATTEMPTS = 3;
const NO_SERVER = "no server answers";

class Sender {
  constructor(chat) {
    this.chat = chat;
    this.flushing = false;
  }

  // Sends own posts one after the other, so that they stand in the order in which they were written.
  async flush() {
    if (this.flushing) return;
    this.flushing = true;
    try {
      for (let entry = this.chat.outbox.next(); entry && this.chat.connection.phase === "open"; entry = this.chat.outbox.next()) {
        if (!(await this.sendOne(entry))) break;
      }
    } finally { this.flushing = false; }
  }

  // Sends one post. Returns false if nothing more can be sent now.
  async sendOne(entry) {
    const { group, n, text } = entry;
    const server = this.chat.connection.server();
    try {
      const { id } = await this.chat.connection.askAsUser("/api/post", { group, n, text });
      this.chat.seenLast.note(id);
      // The page has gone on meanwhile, and the new server may not have it: it is sent there too, with the same n.
      if (server.web !== this.chat.connection.server().web) return true;
      this.chat.outbox.sent(entry, id, Date.now());
      this.chat.outbox.settle(this.chat.posts());
      this.chat.draw();
      return true;
    } catch (error) {
      const going = await this.couldNotSend(entry, error);
      this.chat.draw();
      return going;
    }
  }

  async couldNotSend(entry, error) {
    if (error.status === 0) {
      this.chat.connection.suspect();
      // The next attempt is on the next tick, or at the next server.
      return false;
    }
    entry.attempts++;
    if (error.status === 401) {
      this.chat.connection.forgetSession();
      this.chat.connection.again();
      return false;
    }
    const passing = error.status === 409 || error.status === 429 || error.status === 503;
    if (!passing || entry.attempts > ATTEMPTS) {
      this.chat.outbox.fail(entry, error.message);
      return true;
    }
    if (error.status === 409 && this.chat.mine.includes(entry.group)) {
      await this.chat.connection.askAsUser("/api/join", { group: entry.group }).catch(() => {});
    } else await wait(500 * entry.attempts);
    return true;
  }

  // Every second: gives up and takes up again with the connection, and forgets what is safe.
  tick(now) {
    const { outbox, connection, current, lostAt } = this.chat;
    const open = connection.phase === "open";
    for (const entry of outbox.entries) {
      if (!open && entry.state === "sending" && now - Math.max(lostAt, entry.time_ms) > GIVE_UP_MS) outbox.fail(entry, NO_SERVER);
      if (open && entry.state === "failed" && entry.error === NO_SERVER) outbox.retry(entry);
    }
    if (!open) return;
    if (current !== null && this.chat.posts().drawn) outbox.dropOld(now, SHOWN_AFTER_MS, current, this.chat.posts());
    this.flush();
  }
}
