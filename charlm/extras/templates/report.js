// The page's behaviour. Everything shown is set as text, never as markup.
"use strict";
const element = (id) => document.getElementById(id);
const data = JSON.parse(element("data").textContent);
const count = data.pieces.length;
const text = element("text");
const spans = [];
let view = "surprise";
let current = 0;
let cell = 0; // its row in the levels
let span = null; // [begin, end) of the tokens that are selected
let places = [];
let levels = null, shares = null; // bytes, once they are unpacked

const make = (name, content = "", className = "") => {
  const made = document.createElement(name);
  made.textContent = content;
  if (className) made.className = className;
  return made;
};
const start = make("span", "<EOS>"); // from which all is read
const visible = (piece) =>
  piece === "" ? "·" : piece.replaceAll("\n", "↵\n");
const END = data.perLine ? "<EOS>" : "newline"; // what a line ends with
const NAMES = { "": "part of a character", "\n": END, " ": "space", "\t": "tab" };
const named = (piece) => piece.trim() ? piece : NAMES[piece] ?? "white space";
const symbol = (piece) =>
  piece === "" ? "·" : piece.replaceAll("\n", "↵").replaceAll("\t", "⇥").replaceAll(" ", "␣");
const titled = (piece) => data.perLine && piece === "\n" ? END : symbol(piece);
const percent = (share) =>
  share >= 0.0001 ? `${(100 * share).toFixed(share < 0.01 ? 2 : 1)}\u00a0%` : "<\u00a00.01\u00a0%";

async function unpacked(packed) {
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The text

function write() {
  const all = document.createDocumentFragment();
  start.setAttribute("role", "option");
  start.setAttribute("aria-selected", "false");
  start.setAttribute("aria-disabled", "true");
  all.append(start);
  data.pieces.forEach((piece, t) => {
    const one = make("span", visible(piece));
    one.setAttribute("role", "option");
    one.setAttribute("aria-selected", "false");
    if (!piece.trim()) one.setAttribute("aria-label", named(piece));
    one.dataset.t = t;
    spans.push(one);
    all.append(one);
  });
  text.append(all);
}

const shade = (share) => `s${Math.round(Math.min(Math.max(share, 0), 1) * (SHADES - 1))}`;
const level = (row, t) => levels[row * count + t];
const unsquashed = (value) => data.squashed ? value / (1 - Math.abs(value)) : value;
const value = (k) => unsquashed((2 * k + 1) / LEVELS - 1); // in the middle of a level
const signed = (number, digits) => number.toFixed(digits).replace("-", "−");

function bearing(t) { // on the current token, of token t, −1 for <EOS>, as a share of the greatest
  const back = current - 1 - t;
  const { reach, greatest } = data.contexts;
  if (!shares || current >= greatest.length || back < 0 || back >= reach) return null;
  return shares[current * reach + back] / SHARES;
}

function colour(t) {
  if (view === "surprise") return shade(data.bits[t] / MOST_BITS);
  if (view === "cell" && levels) return `c${level(cell, t)}`;
  if (view === "context") {
    if (t === current) return "first";
    const share = bearing(t);
    return share === null ? "" : shade(share);
  }
  return "";
}

function paint() {
  const matched = new Set();
  const firsts = new Set();
  if (view === "matches") {
    for (const place of places) {
      firsts.add(place.begin);
      for (let t = place.begin; t < place.end; t++) matched.add(t);
    }
  }
  start.hidden = view !== "context";
  start.className = start.hidden ? "" : colour(-1);
  spans.forEach((one, t) => {
    const inside = span !== null && t >= span[0] && t < span[1];
    const wanted = [colour(t), inside ? "span" : "", matched.has(t) ? "match" : ""];
    const className = wanted.filter(Boolean).join(" ");
    if (one.className !== className) one.className = className;
    const selected = String(inside);
    if (one.getAttribute("aria-selected") !== selected) one.setAttribute("aria-selected", selected);
  });
  legend();
}

function legend() {
  const box = element("legend");
  box.replaceChildren();
  const add = (content, className) => box.append(make("span", content, className));
  const say = (content) => box.append(make("b", content));
  if (view === "surprise") {
    for (let bits = 0; bits <= MOST_BITS; bits += 2) add(String(bits), shade(bits / MOST_BITS));
    say("bits or more: how much the model was surprised");
  } else if (view === "cell") {
    if (!levels) return say("cells cannot be shown: this browser unpacks no data");
    for (let k = 0; k < LEVELS; k += 3) add(signed(value(k), 1), `c${k}`);
    say(`cell ${data.cells[cell]} after each character`);
  } else if (view === "context") {
    const greatest = data.contexts.greatest[current];
    if (greatest === undefined) {
      return say(`context is kept for the first ${data.contexts.greatest.length} tokens`);
    }
    for (let k = 0; k <= 4; k++) add(k ? (greatest * k / 4).toPrecision(2) : "0", shade(k / 4));
    say("nats: how strongly <EOS> and each earlier character bear on the framed one (gradient × input)");
  } else {
    say(span ? mostAlike(places.length) : "select a span");
  }
}

const mostAlike = (number) =>
  number === 0 ? "no other place is like it"
    : number === 1 ? "the place most like it" : `the ${number} places most like it`;

// The panel

function describe(t) {
  const piece = data.pieces[t];
  const bits = data.bits[t].toFixed(2);
  element("panel-title").textContent = `“${titled(piece)}” is token ${t + 1} of ${count}`;
  element("figures").textContent =
    `${bits} bits: the model gave it ${percent(2 ** -data.bits[t])}, rank ${data.ranks[t]}`;
  const rows = data.likeliest[t].map((name, k) => {
    const share = data.probabilities[t][k] / PROBABILITY;
    const row = make("tr");
    const head = make("th", symbol(data.names[name]), "piece");
    head.scope = "row";
    const bar = make("span", "", "bar");
    bar.style.width = `${100 * share}%`;
    const middle = make("td");
    middle.append(bar);
    row.append(head, middle, make("td", percent(share), "number"));
    return row;
  });
  element("expected").tBodies[0].replaceChildren(...rows);
  element("more").textContent = levels
    ? `Cell ${data.cells[cell]} after it: about ${signed(value(level(cell, t)), 2)}`
    : "";
}

function speak(t) {
  const expected = data.likeliest[t].map((name, k) =>
    `${named(data.names[name])} ${percent(data.probabilities[t][k] / PROBABILITY)}`);
  element("spoken").textContent =
    `${named(data.pieces[t])}, ${data.bits[t].toFixed(2)} bits, expected: ${expected.join(", ")}`;
}

// Only the current character can have the focus: what can, hinders selecting by mouse.
function choose(t) {
  spans[current].removeAttribute("tabindex");
  current = t;
  spans[t].tabIndex = 0;
  describe(t);
  if (view === "context") paint();
}

function go(t, options) {
  choose(t);
  spans[t].focus(options);
}

// Moving and selecting

const tokenOf = (node) => {
  const from = node instanceof Element ? node : node?.parentElement;
  const found = from?.closest("#text [data-t]");
  return found ? Number(found.dataset.t) : null;
};

function above(t, direction) { // the token nearest in the line above (−1) or below (1)
  const { offsetTop: top, offsetLeft: left } = spans[t];
  let at = t + direction;
  while (spans[at] && spans[at].offsetTop === top) at += direction;
  if (!spans[at]) return t;
  const line = spans[at].offsetTop;
  let best = at;
  while (spans[at] && spans[at].offsetTop === line) {
    if (Math.abs(spans[at].offsetLeft - left) < Math.abs(spans[best].offsetLeft - left)) best = at;
    at += direction;
  }
  return best;
}

function lineEnd(t, direction) {
  const top = spans[t].offsetTop;
  while (spans[t + direction]?.offsetTop === top) t += direction;
  return t;
}

let anchor = null; // where a selection by keyboard began

function moved(event) {
  const whole = event.ctrlKey || event.metaKey;
  switch (event.key) {
    case "ArrowRight": return Math.min(current + 1, count - 1);
    case "ArrowLeft": return Math.max(current - 1, 0);
    case "ArrowDown": return above(current, 1);
    case "ArrowUp": return above(current, -1);
    case "Home": return whole ? 0 : lineEnd(current, -1);
    case "End": return whole ? count - 1 : lineEnd(current, 1);
    default: return null;
  }
}

text.addEventListener("keydown", (event) => {
  if (event.key === "Escape") return clear();
  const from = current;
  const to = moved(event);
  if (to === null) return;
  event.preventDefault();
  getSelection().removeAllRanges();
  go(to);
  speak(to);
  if (!event.shiftKey) {
    anchor = null;
    return;
  }
  if (anchor === null) anchor = from;
  select(Math.min(anchor, to), Math.max(anchor, to) + 1);
});
text.addEventListener("focusin", () => describe(current));
text.addEventListener("pointerdown", () => spans[current].removeAttribute("tabindex"));
document.addEventListener("pointerup", () => { spans[current].tabIndex = 0; });
document.addEventListener("pointercancel", () => { spans[current].tabIndex = 0; });
text.addEventListener("pointerover", (event) => {
  const t = tokenOf(event.target);
  if (t !== null) describe(t);
});
text.addEventListener("pointerleave", () => describe(current));
text.addEventListener("click", (event) => {
  const t = tokenOf(event.target);
  if (t !== null && getSelection().isCollapsed) go(t, { preventScroll: true });
});
let waiting = 0;
document.addEventListener("selectionchange", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const selection = getSelection();
    if (selection.isCollapsed || !selection.rangeCount) return;
    const range = selection.getRangeAt(0);
    const begin = tokenOf(range.startContainer);
    let end = tokenOf(range.endContainer);
    if (begin === null || end === null) return;
    if (range.endOffset === 0 && end > begin) end -= 1;
    anchor = null;
    select(begin, end + 1);
  }, 60);
});

function select(begin, end) {
  span = [begin, end];
  match();
  paint();
}

function clear() {
  span = null;
  anchor = null;
  places = [];
  getSelection().removeAllRanges();
  element("span-cells").textContent = "Nothing is selected.";
  element("places").replaceChildren();
  paint();
}

// Cells

function addCells() {
  const list = element("cell");
  const group = (label, entries) => {
    const made = make("optgroup");
    made.label = label;
    for (const [row, content] of entries) {
      const option = make("option", content);
      option.value = row;
      made.append(option);
    }
    list.append(made);
  };
  const rows = new Map(data.cells.map((name, row) => [name, row]));
  const found = Object.entries(data.found)
    .filter(([, { cells, beyondChance }]) => beyondChance && rows.has(cells[0].cell));
  group("Found features", found.map(([feature, { cells }]) =>
    [rows.get(cells[0].cell), `${cells[0].cell}, ${feature}`]));
  const layers = new Map();
  data.cells.forEach((name, row) => {
    const layer = name.split(":")[0];
    if (!layers.has(layer)) layers.set(layer, []);
    layers.get(layer).push([row, name]);
  });
  for (const [layer, entries] of layers) group(`Layer ${layer}`, entries);
  if (found.length) cell = rows.get(found[0][1].cells[0].cell);
  list.value = cell;
  element("kept").textContent = data.cells.length < data.allCells
    ? `${data.cells.length} of ${data.allCells} cells are kept here: those found, and those that move most`
    : `${data.cells.length} cells`;
  element("found").tBodies[0].append(...Object.entries(data.found).map(([feature, found]) => {
    const row = make("tr");
    const head = make("th", feature);
    head.scope = "row";
    head.append(" ", make("small", found.measure));
    const buttons = make("td", found.beyondChance ? "" : "no cell tells it better than chance");
    const offered = found.beyondChance ? found.cells.filter(({ cell }) => rows.has(cell)) : [];
    for (const { cell: name, heldOut, rising } of offered) {
      const button = make("button", `${name}  ${heldOut.toFixed(2)}${rising ? "" : " (falling)"}`);
      button.type = "button";
      button.addEventListener("click", () => showCell(rows.get(name)));
      buttons.append(button);
    }
    row.append(head, buttons, make("td", found.moved.toFixed(2), "number"));
    return row;
  }));
}

function showCell(row) {
  cell = row;
  const list = element("cell"); // a cell found twice stands there twice: the one chosen stays
  if (Number(list.value) !== row) list.value = row;
  setView("cell");
  describe(current);
}

function setView(name) {
  view = name;
  document.querySelector(`input[name=view][value=${name}]`).checked = true;
  paint();
}

element("cell").addEventListener("change", (event) => showCell(Number(event.target.value)));
element("previous").addEventListener("click", () =>
  showCell((cell + data.cells.length - 1) % data.cells.length));
element("next").addEventListener("click", () => showCell((cell + 1) % data.cells.length));
element("show-cell").addEventListener("click", () => {
  showCell(cell);
  spans[current].focus();
});
for (const input of document.querySelectorAll("input[name=view]")) {
  input.addEventListener("change", () => setView(input.value));
}

// Matching, as charlm.inspection.matching does it

function throughout(length, least, visit) { // visit(row, t): the row is on from t to t + length
  for (let row = 0; row < data.cells.length; row++) {
    let run = 0;
    for (let t = count - 1; t >= 0; t--) {
      run = level(row, t) >= least ? run + 1 : 0;
      if (run >= length) visit(row, t);
    }
  }
}

function match() {
  places = [];
  if (!levels || !span) return;
  const [begin, end] = span;
  const length = end - begin;
  const least = Number(element("threshold").value);
  const wanted = data.cells.map((_, row) => {
    for (let t = begin; t < end; t++) if (level(row, t) < least) return false;
    return true;
  });
  const shared = new Int32Array(count), others = new Int32Array(count);
  throughout(length, least, (row, t) => { (wanted[row] ? shared : others)[t] += 1; });
  const names = data.cells.filter((_, row) => wanted[row]);
  if (names.length) places = best(shared, others, begin, end);
  tellMatches(names);
}

function best(shared, others, begin, end) {
  const length = end - begin;
  const order = Array.from({ length: count - length + 1 }, (_, t) => t);
  order.sort((a, b) => shared[b] - shared[a] || others[a] - others[b] || a - b);
  const taken = new Uint8Array(count).fill(1, begin, end);
  const found = [];
  for (const t of order) {
    if (!shared[t]) break;
    if (taken[t] || taken[t + length - 1]) continue;
    found.push({ begin: t, end: t + length, shared: shared[t], others: others[t] });
    taken.fill(1, t, t + length);
    if (found.length === PLACES) break;
  }
  return found;
}

const joined = (begin, end) =>
  data.pieces.slice(Math.max(0, begin), end).map(symbol).join("").replaceAll("␣", " ");

function tellMatches(names) {
  const shownNames = names.slice(0, 12).join(", ") + (names.length > 12 ? ", …" : "");
  element("span-cells").textContent = names.length
    ? `“${joined(...span)}”: ${names.length} cells are on throughout: ${shownNames}`
    : "No cell is so high throughout the span; choose a lower value or a shorter span.";
  element("places").replaceChildren(...places.map((place) => {
    const button = make("button", joined(place.begin - 18, place.begin), "piece");
    button.type = "button";
    button.append(make("mark", joined(place.begin, place.end)),
      joined(place.end, place.end + 18),
      make("small", `${place.shared} of ${names.length} cells, ${place.others} ${place.others === 1 ? "other" : "others"}`));
    button.addEventListener("click", () => {
      setView("matches");
      go(place.begin);
      spans[place.begin].scrollIntoView({ block: "center" });
    });
    const item = make("li");
    item.append(button);
    return item;
  }));
}

function addThresholds() {
  for (let k = LEVELS / 2 + 1; k < LEVELS; k++) {
    const least = unsquashed((2 * k) / LEVELS - 1);
    const option = make("option", String(Number(least.toFixed(3))));
    option.value = k;
    element("threshold").append(option);
  }
  element("threshold").value = LEVELS / 2 + 2;
}

element("threshold").addEventListener("change", () => { match(); paint(); });
element("clear").addEventListener("click", clear);

write();
addThresholds();
addCells();
choose(0);
paint();
Promise.all([unpacked(data.levels), unpacked(data.contexts.shares)]).then(([first, second]) => {
  levels = first;
  shares = second;
  describe(current);
  paint();
  document.documentElement.dataset.ready = "true";
}, () => { element("kept").textContent = "This browser cannot unpack the cells' values."; });
