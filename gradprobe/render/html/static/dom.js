// Building elements. Text of the traced program only ever becomes a text node or an attribute:
// there is no innerHTML in this page, so nothing in a name or a message can be markup.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

// make("button", { class: "x", onclick: f }, "words", child): null and false are left out.
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(
    ...children.filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

function button(words, onclick, attributes = {}) {
  return make("button", { type: "button", onclick, ...attributes }, words);
}

// A state is told by its mark and its words, and only then by its colour.
function stateTag(state, words) {
  const [mark, meaning] = data.marks[state] ?? data.marks.unknown;
  return make("span", { class: "state", "data-state": state }, `${mark} ${words ?? meaning}`);
}

// What changed, for a reader who hears the page; the element is made once and stays.
const spoken = make("div", { class: "spoken", role: "status" });
document.body.append(spoken);
function say(words) {
  spoken.textContent = words;
}

// Left and right in a row of things, up and down in a column: moves the focus among `items`.
function arrows(event, items, [back, forward]) {
  const at = items.indexOf(document.activeElement);
  const to = { [back]: at - 1, [forward]: at + 1, Home: 0, End: items.length - 1 }[event.key];
  if (at < 0 || to === undefined) return false;
  event.preventDefault();
  items[Math.max(0, Math.min(items.length - 1, to))].focus();
  return true;
}

const short = (number) =>
  number === null || number === undefined
    ? ""
    : typeof number === "string"
      ? number
      : number === 0
        ? "0"
        : Math.abs(number) >= 1e5 || Math.abs(number) < 1e-3
          ? number.toExponential(2)
          : String(Number(number.toPrecision(4)));

function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; count >= 1000 && unit < units.length - 1; unit += 1) count /= 1000;
  return `${unit ? count.toFixed(count < 10 ? 1 : 0) : count} ${units[unit]}`;
}
