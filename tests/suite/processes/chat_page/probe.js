// What tests ask of the chat's page. It runs in the page, beside the page's own scripts.
"use strict";

window.probe = (() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  // Returns whether an element can be seen: it is neither hidden nor clipped to a point for screen readers.
  const inSight = (element) => {
    if (!element || !element.checkVisibility({ visibilityProperty: true })) return false;
    for (let at = element; at; at = at.parentElement) if (getComputedStyle(at).clipPath === "inset(50%)") return false;
    const place = element.getBoundingClientRect();
    return place.width > 1 && place.height > 1;
  };
  const find = (wanted) => (typeof wanted === "string" ? all(wanted).find(inSight) : wanted);
  const shown = (id) => inSight(document.querySelector(`[data-testid="${id}"]`));

  // Clicks an element, or returns false while it cannot be seen or something covers it.
  const click = (wanted) => {
    const element = find(wanted);
    if (!inSight(element)) return false;
    element.scrollIntoView({ block: "nearest" });
    const place = element.getBoundingClientRect();
    const hit = document.elementFromPoint(place.left + place.width / 2, place.top + place.height / 2);
    if (!element.contains(hit)) return false;
    element.click();
    return true;
  };
  const select = (wanted) => {
    const element = find(wanted);
    if (!inSight(element)) return false;
    element.focus();
    element.select();
    return true;
  };

  const posts = () => all("[data-testid=post]").map((li) => ({
    id: li.dataset.id, text: li.querySelector(".text").textContent, state: li.dataset.state,
    likes: Number(li.querySelector("[data-testid=like-count]").textContent),
  }));
  const post = (text) => all("[data-testid=post]").find((li) => li.querySelector(".text").textContent === text);
  const part = (text, id) => post(text)?.querySelector(`[data-testid="${id}"]`);
  const group = (name) => document.querySelector(`[data-testid=group][data-group="${name}"]`);
  const server = (id) => document.querySelector(`[data-testid=server][data-id="${id}"]`);
  const member = (name) => document.querySelector(`[data-testid=member][data-user="${name}"]`);
  const words = (id) => document.querySelector(`[data-testid="${id}"]`).innerText.trim();
  // Returns the id of the post at the top of the list, as it is scrolled.
  const atTop = () => {
    const top = document.getElementById("posts").getBoundingClientRect().top;
    return all("[data-testid=post]").find((li) => li.getBoundingClientRect().bottom > top).dataset.id;
  };
  // Returns where a post stands in the window, in pixels from its top.
  const placeOf = (id) => document.querySelector(`[data-id="${id}"]`).getBoundingClientRect().top;
  const within = (inner, outer) => {
    const [one, other] = [inner.getBoundingClientRect(), outer.getBoundingClientRect()];
    return one.top >= other.top && one.bottom <= other.bottom;
  };

  // Colours are lists of red, green and blue up to 255, and opacity up to 1.
  const colour = (text) => {
    if (!/^rgba?\(/.test(text)) throw new Error("a colour that is not understood: " + text);
    const numbers = text.match(/[\d.]+/g).map(Number);
    return numbers.length === 4 ? numbers : [...numbers, 1];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const ground = (element) => {
    if (!element) throw new Error("nothing opaque is below");
    const own = colour(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own : over(own, ground(element.parentElement));
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((part) => part / 255).map((part) => (part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const contrast = (style, element) => {
    const ink = colour(style.color);
    for (let at = element; at; at = at.parentElement) ink[3] *= Number(getComputedStyle(at).opacity);
    const below = ground(element);
    const [low, high] = [luminance(over(ink, below)), luminance(below)].sort((one, other) => one - other);
    return (high + .05) / (low + .05);
  };

  // Returns [words, element, style] of every text that can be seen.
  const texts = () => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const element = node.parentElement;
      if (node.data.trim() !== "" && inSight(element)) found.push([node.data.trim(), element, getComputedStyle(element)]);
    }
    for (const field of all("input, textarea").filter(inSight)) {
      if (field.value !== "") found.push([field.value, field, getComputedStyle(field)]);
      else if (field.placeholder) found.push([field.placeholder, field, getComputedStyle(field, "::placeholder")]);
    }
    return found;
  };

  // Returns what is hard to see or to hit, in words; and how many texts were looked at.
  const faults = () => {
    const found = [];
    const seen = texts();
    for (const [words, element, style] of seen) {
      const ratio = contrast(style, element);
      if (ratio < 4.5) found.push(`contrast ${ratio.toFixed(2)}: ${words}`);
    }
    for (const shape of all("svg.picture").filter(inSight)) {
      const ratio = contrast(getComputedStyle(shape), shape.parentElement);
      if (ratio < 3) found.push(`contrast ${ratio.toFixed(2)} of a picture: ${shape.getAttribute("class")}`);
    }
    for (const control of all("button, input, textarea, a[href]").filter(inSight)) {
      const { width, height } = control.getBoundingClientRect();
      if (width < 24 || height < 24) found.push(`too small, ${width} x ${height}: ${control.id || control.textContent}`);
    }
    for (const part of all("body *").filter((part) => inSight(part) && !part.closest("svg"))) {
      const { left, right } = part.getBoundingClientRect();
      if (left < -.5 || right > innerWidth + .5) found.push(`outside the window: ${part.id || part.className || part.tagName}`);
    }
    for (const root of [document.documentElement, document.body]) {
      if (root.scrollWidth > innerWidth) found.push(`scrolls sideways: ${root.tagName}`);
    }
    // The lists of the chat scroll, the page around them does not.
    const { scrollHeight } = document.documentElement;
    if (inSight(document.getElementById("chat")) && scrollHeight > innerHeight) found.push(`scrolls as a whole: ${scrollHeight}`);
    return { found, texts: seen.length };
  };

  // Returns the name of the element with the focus for tests, and whether its focus can be seen.
  const focus = () => {
    const element = document.activeElement;
    const style = getComputedStyle(element);
    const visible = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    return { name: element.dataset.testid || element.id || element.tagName, visible };
  };

  return { all, inSight, shown, click, select, posts, post, part, group, server, member, words, atTop, placeOf, within, faults, focus };
})();
