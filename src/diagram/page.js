// Pan, zoom, find, and what is known of the message that is pointed at.
(function () {
  const picture = document.querySelector("svg.run");
  const heads = document.getElementById("heads");
  const about = document.getElementById("about");
  const width = +picture.dataset.width, height = +picture.dataset.height;
  const view = { x: 0, y: 0, zoom: 1 };

  // What titles say is shown beside the pointer at once, and as one block.
  const said = new Map();
  for (const title of picture.querySelectorAll("[data-m] > title")) {
    said.set(title.parentNode, title.textContent);
    title.remove();
  }

  function draw() {
    const w = picture.clientWidth / view.zoom, h = picture.clientHeight / view.zoom;
    const inside = (at, room, size) => room >= size + 40 ? (size - room) / 2 : Math.min(Math.max(at, -20), size + 20 - room);
    view.x = inside(view.x, w, width);
    view.y = h >= height + 40 ? 0 : inside(view.y, h, height);
    picture.setAttribute("viewBox", [view.x, view.y, w, h].join(" "));
    heads.setAttribute("transform", "translate(0," + Math.max(0, view.y) + ")");
    document.getElementById("whole").textContent = Math.round(view.zoom * 100) + " %";
  }
  function zoom(factor, px, py) {
    const before = view.zoom;
    view.zoom = Math.min(8, Math.max(0.05, before * factor));
    if (px === undefined) { px = picture.clientWidth / 2; py = 0; }
    view.x += px / before - px / view.zoom;
    view.y += py / before - py / view.zoom;
    draw();
  }
  function show(x, y) {
    view.x = x - picture.clientWidth / view.zoom / 2;
    view.y = y - picture.clientHeight / view.zoom / 2;
    draw();
  }
  const fit = () => { view.zoom = Math.min(1, picture.clientWidth / (width + 40)); draw(); };
  const whole = () => { view.zoom = 1; draw(); };

  picture.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = picture.getBoundingClientRect();
    if (event.ctrlKey || event.metaKey) {
      zoom(Math.exp(-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top);
      return;
    }
    const sideways = event.shiftKey && !event.deltaX;
    view.x += (sideways ? event.deltaY : event.deltaX) / view.zoom;
    view.y += (sideways ? 0 : event.deltaY) / view.zoom;
    draw();
  }, { passive: false });

  let drag = null;
  picture.addEventListener("pointerdown", (event) => {
    drag = { x: event.clientX, y: event.clientY, moved: false };
  });
  window.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
    if (!drag.moved && Math.abs(dx) + Math.abs(dy) < 4) return;
    drag = { x: event.clientX, y: event.clientY, moved: true };
    picture.classList.add("dragged");
    view.x -= dx / view.zoom;
    view.y -= dy / view.zoom;
    draw();
  });
  window.addEventListener("pointerup", () => {
    if (drag && drag.moved) setTimeout(() => picture.classList.remove("dragged"));
    drag = null;
  });

  // A click keeps a message lit, a click elsewhere lets it go.
  function pin(message) {
    picture.pinned = false;
    picture.light(message);
    picture.pinned = message !== null;
  }
  picture.addEventListener("click", (event) => {
    if (picture.classList.contains("dragged")) return;
    const part = event.target.closest("[data-m]");
    pin(part ? part.dataset.m : null);
  });

  function tell(event) {
    const part = event.target.closest && event.target.closest("[data-m]");
    const text = part && said.get(part);
    about.hidden = !text;
    if (!text) return;
    about.textContent = text;
    const box = picture.getBoundingClientRect();
    const x = event.clientX - box.left + 16, y = event.clientY - box.top + 16;
    about.style.left = Math.max(4, Math.min(x, box.width - about.offsetWidth - 8)) + "px";
    const above = y - 32 - about.offsetHeight;
    about.style.top = (y + about.offsetHeight > box.height && above > 0 ? above : y) + "px";
  }
  picture.addEventListener("mousemove", tell);
  picture.addEventListener("mouseleave", () => { about.hidden = true; });

  const find = document.getElementById("find");
  let last = null, searched = "";
  function search(again) {
    searched = find.value;
    const wanted = searched.trim().toLowerCase();
    if (!wanted) { pin(null); return; }
    const parts = [...said.keys()].filter((part) => {
      const title = said.get(part).split("\n")[0].toLowerCase();
      return title.startsWith(wanted + ":") || (!/^\S+\/\d+\/\d+$/.test(wanted) && title.includes(wanted));
    });
    if (parts.length === 0) { find.setCustomValidity("not found"); find.reportValidity(); return; }
    find.setCustomValidity("");
    const messages = [...new Set(parts.map((part) => part.dataset.m))];
    const next = again ? messages[(messages.indexOf(last) + 1) % messages.length] : messages[0];
    last = next;
    pin(next);
    // Long bars and lines have their corners far from what is looked for.
    const its = parts.filter((part) => part.dataset.m === next);
    const box = its.find((part) => part.matches(".mark")) || its[0];
    const at = box.getBBox(), move = box.transform.baseVal.consolidate();
    show((move ? move.matrix.e : 0) + at.x, (move ? move.matrix.f : 0) + at.y + +picture.dataset.heads);
  }
  find.addEventListener("input", () => find.setCustomValidity(""));
  find.addEventListener("change", () => { if (find.value !== searched) search(false); });
  find.addEventListener("keydown", (event) => {
    if (event.key === "Enter") { event.preventDefault(); search(last !== null); }
    if (event.key === "Escape") { find.value = ""; pin(null); find.blur(); }
    event.stopPropagation();
  });

  const on = (id, act) => { const button = document.getElementById(id); if (button) button.addEventListener("click", act); };
  on("in", () => zoom(1.25));
  on("out", () => zoom(0.8));
  on("whole", whole);
  on("fit", fit);
  on("fault", () => {
    const at = picture.dataset.fault.split(" ").map(Number);
    show(at[0], at[1] + +picture.dataset.heads);
  });
  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 60 / view.zoom, page = picture.clientHeight * 0.9 / view.zoom;
    const keys = {
      "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), "0": whole, "f": fit,
      "/": () => find.focus(), "Escape": () => pin(null),
      "ArrowUp": () => { view.y -= step; draw(); }, "ArrowDown": () => { view.y += step; draw(); },
      "ArrowLeft": () => { view.x -= step; draw(); }, "ArrowRight": () => { view.x += step; draw(); },
      "PageUp": () => { view.y -= page; draw(); }, "PageDown": () => { view.y += page; draw(); },
      "Home": () => { view.y = 0; draw(); }, "End": () => { view.y = height; draw(); },
    };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  window.addEventListener("resize", draw);
  draw();
  view.y = -20;
  draw();
})();
