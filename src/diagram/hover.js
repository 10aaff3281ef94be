// Whoever points at a mark sees all of its message: what is not of it fades.
(function () {
  const picture = document.querySelector("svg.run") || document.querySelector("svg.picture");
  let lit = null;
  function light(message) {
    if (message === lit) return;
    lit = message;
    for (const old of picture.querySelectorAll(".lit")) old.classList.remove("lit");
    picture.classList.toggle("faded", message !== null);
    if (message === null) return;
    for (const one of message.split(" ")) {
      for (const part of picture.querySelectorAll('[data-m~="' + one + '"]')) part.classList.add("lit");
    }
  }
  const part = (event) => event.target.closest && event.target.closest("[data-m]");
  picture.addEventListener("mouseover", (event) => {
    const found = part(event);
    if (!picture.pinned) light(found ? found.dataset.m : null);
  });
  picture.addEventListener("mouseleave", () => { if (!picture.pinned) light(null); });
  picture.light = light;
})();
