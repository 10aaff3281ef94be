// Begins: signs in by name, with the name of the last time if there is one, and signs out.
"use strict";

class Welcome {
  constructor() {
    this.store = new Store();
    $("sign-in-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.signIn($("sign-in-name").value.trim());
    });
    $("sign-out").addEventListener("click", () => this.signOut());
    const name = this.store.name();
    if (name) this.signIn(name);
    else this.ask("");
  }

  ask(error) {
    show($("chat"), false);
    show($("welcome"), true);
    say($("sign-in-error"), error);
    document.title = "groupcast chat";
    $("sign-in-name").focus();
  }

  signIn(name) {
    if (name === "") return;
    this.store.keepName(name);
    show($("welcome"), false);
    show($("chat"), true);
    this.chat = new Chat(name, this.store, (message) => {
      this.leave();
      $("sign-in-name").value = name;
      this.ask("Cannot sign in: " + message + ".");
    });
    this.chat.start();
  }

  signOut() {
    this.chat.connection.askAsUser("/api/logout", {}).catch(() => {});
    this.leave();
    $("sign-in-name").value = "";
    this.ask("");
  }

  leave() {
    this.chat.stop();
    this.chat = null;
    this.store.forgetName();
  }
}

new Welcome();
