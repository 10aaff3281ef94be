// Small helpers for elements. Text is only ever set as text, never as HTML, and nothing sets a style in the markup.
"use strict";

const $ = (id) => document.getElementById(id);

// Makes an element with attributes and children (elements or text).
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) put(element, name, value);
  element.append(...children);
  return element;
}

// Sets an attribute if it differs; null removes it. Unchanged ones are left alone, so that screen readers hear nothing.
function put(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, String(value));
  }
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

// Makes the children of `parent` those of `rows`, in that order: elements are kept by key and not moved without need, so that
// focus and selection stay.
function sync(parent, rows, keyOfRow, create, update) {
  const there = new Map([...parent.children].map((child) => [child.rowKey, child]));
  const wanted = new Set(rows.map(keyOfRow));
  for (const [key, child] of there) if (!wanted.has(key)) child.remove();
  let place = parent.firstElementChild;
  for (const row of rows) {
    const key = keyOfRow(row);
    let child = there.get(key);
    if (!child) {
      child = create(row);
      child.rowKey = key;
    }
    update(child, row);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
}

const SHAPES = {
  heart: "M8 13.6 2.9 8.4a3.3 3.3 0 0 1 0-4.6 3.2 3.2 0 0 1 4.6 0l.5.5.5-.5a3.2 3.2 0 0 1 4.6 0 3.3 3.3 0 0 1 0 4.6z",
  ring: "M8 3.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9z",
  check: "M3.5 8.5l3 3 6-7",
  up: "M8 13V3.5M4 7.5l4-4 4 4",
  down: "M8 3v9.5M4 8.5l4 4 4-4",
};

// Makes one of the page's few pictures, which says nothing to a screen reader.
function picture(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  for (const [key, value] of [["viewBox", "0 0 16 16"], ["class", "picture " + name], ["aria-hidden", "true"]]) svg.setAttribute(key, value);
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", SHAPES[name]);
  svg.append(path);
  return svg;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

// Returns a time in words by `format`, or "" for what is no time: it comes from the network.
function timeWords(format, ms) {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? "" : format.format(date);
}

function dayOf(ms) { return new Date(ms).toDateString(); }
