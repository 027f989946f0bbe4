import { Draft, TIGHT, accept, ghost } from "./composing.js";

const SHOWN = 3;
const $ = (id) => document.getElementById(id);
const field = $("text");
const token = takeToken();
const session = Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");
const slots = Array.from({ length: SHOWN }, (_, i) => makeSlot(i));
const state = { draft: new Draft(), shown: { text: null, rows: [] }, hidden: null, model: null, running: null, token };
let speaking;

// A token comes behind the # and is not left in the address; it lasts as long as the tab.
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  try {
    if (given) sessionStorage.setItem("nwp-token", given);
    if (given) history.replaceState(null, "", location.pathname);
    return given ?? sessionStorage.getItem("nwp-token");
  } catch {
    return given;
  }
}

function makeSlot(i) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "slot";
  const parts = ["word", "sure", "bar"].map((name) => {
    const part = document.createElement("span");
    part.className = name;
    button.append(part);
    return part;
  });
  button.addEventListener("pointerdown", (event) => event.preventDefault()); // the keyboard stays up
  button.addEventListener("click", () => pick(i));
  $("strip").append(button);
  return { button, word: parts[0], sure: parts[1], bar: parts[2] };
}

async function call(path, options = {}) {
  const headers = { ...options.headers };
  if (state.token) headers.Authorization = `Bearer ${state.token}`;
  const answer = await fetch(path, { ...options, headers });
  const found = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(found.error.message), { status: answer.status, hint: found.error.hint });
  return found;
}

// Ask for the text as it is. A request for an older text is given up, and its answer never shown.
async function ask() {
  const text = field.value;
  state.running?.abort();
  const mine = new AbortController();
  state.running = mine;
  const start = performance.now();
  try {
    const found = await call("v1/suggest", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ text, k: SHOWN, session, ...(state.model && { model: state.model }) }),
      signal: mine.signal,
    });
    if (state.running !== mine) return;
    $("latency").textContent = (performance.now() - start).toFixed(1);
    $("computing").textContent = `ms; computing ${found.milliseconds.toFixed(2)}`;
    state.shown = { text, rows: found.suggestions };
    complain(null);
  } catch (error) {
    if (state.running !== mine) return;
    state.shown = { text, rows: [] };
    complain(error);
  }
  state.running = null;
  show();
}

function complain(error) {
  const asks = error?.status === 401;
  $("ask").hidden = !asks;
  $("notice").hidden = !error;
  if (!error) return;
  $("notice").textContent = error.status
    ? `${error.message[0].toUpperCase()}${error.message.slice(1)}. ${asks ? "Give the one that nwp serve printed." : error.hint}`
    : "No answer. Is nwp serve still running?";
}

// The words for the text as it is; none while they are on their way, or hidden.
function rows() {
  return state.shown.text === field.value && state.hidden !== field.value ? state.shown.rows : [];
}

function atEnd() {
  return field.selectionStart === field.value.length && field.selectionEnd === field.value.length;
}

function ghostText() {
  return atEnd() ? ghost(field.value, rows().map((row) => row.word)) : "";
}

function show() {
  const found = atEnd() ? rows() : [];
  const pending = state.running && state.hidden !== field.value;
  // While an answer is on its way old words would mislead: the slots are emptied by sight, not by size.
  slots.forEach(({ button, word, sure, bar }, i) => {
    const row = found[i];
    button.disabled = !row;
    word.textContent = row?.word ?? "";
    sure.textContent = row ? percent(row.probability) : "";
    bar.style.setProperty("--share", row?.probability ?? 0);
    if (row) button.setAttribute("aria-label", `${row.word}, ${percent(row.probability)}, Alt ${i + 1}`);
    else button.setAttribute("aria-label", "No suggestion");
  });
  $("typed").textContent = field.value;
  $("ghost").textContent = ghostText();
  const saved = state.draft.saved;
  const length = Array.from(field.value).length;
  $("saved").textContent = String(saved).replace("-", "−");
  $("share").textContent = length && saved > 0 ? `${percent(saved / length)} of this text` : "in this text";
  clearTimeout(speaking);
  if (!pending) speaking = setTimeout(speak, 800);
}

function speak() {
  const words = rows().map((row) => row.word);
  const said = words.length ? `Suggestions: ${words.join(", ")}` : "";
  if ($("spoken").textContent !== said) $("spoken").textContent = said;
}

function percent(share) {
  return share > 0 && share < 0.01 ? "<1%" : `${Math.round(100 * share)}%`;
}

// Put `text` in the field as if typed, so that the browser's own undo knows of it.
function put(text) {
  const old = field.value;
  let same = 0;
  while (same < old.length && same < text.length && old[same] === text[same]) same += 1;
  field.focus();
  field.setSelectionRange(same, old.length);
  const rest = text.slice(same);
  const done = rest ? document.execCommand("insertText", false, rest) : document.execCommand("delete");
  if (!done || field.value !== text) {
    field.value = text;
    field.dispatchEvent(new Event("input"));
  }
}

function pick(i) {
  const row = rows()[i];
  if (!row || !atEnd()) return;
  const before = field.value;
  const after = accept(before, row.word);
  if (after.length > field.maxLength) return;
  state.draft.accepted(before, after);
  put(after);
}

field.addEventListener("input", () => {
  state.draft.edited(field.value);
  state.hidden = null;
  ask();
  show();
});

// Right after an accepted word a mark takes the place of its space, and a space from habit adds none.
field.addEventListener("beforeinput", (event) => {
  if (event.inputType !== "insertText" || !event.cancelable || event.isComposing) return;
  if (!atEnd() || !state.draft.just(field.value) || !field.value.endsWith(" ")) return;
  if (event.data === " ") {
    event.preventDefault();
    state.draft.spent();
    show();
  } else if (event.data?.length === 1 && TIGHT.includes(event.data)) {
    event.preventDefault();
    put(field.value.slice(0, -1) + event.data);
  }
});

document.addEventListener("selectionchange", show);

field.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  const plain = !event.ctrlKey && !event.metaKey && !event.shiftKey;
  const digit = /^(?:Digit|Numpad)([1-3])$/.exec(event.code)?.[1];
  let taken = true;
  if (plain && event.altKey && digit) pick(digit - 1);
  else if (plain && !event.altKey && (event.key === "Tab" || event.key === "ArrowRight") && ghostText()) pick(0);
  else if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !$("send").hidden) send();
  else if (plain && event.key === "Escape") {
    state.hidden = field.value;
    show();
  } else taken = false;
  if (taken) event.preventDefault();
});

function startAnew() {
  state.draft = new Draft();
  put("");
  state.draft = new Draft();
  show();
}

$("clear").addEventListener("click", startAnew);

// A message that is done: what was sent is learnt, unless it is off the record.
async function send() {
  const text = field.value;
  if (!text.trim()) return;
  startAnew();
  if ($("off").checked) return;
  try {
    await call("v1/learn", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ text, session }),
    });
    state.shown = { text: null, rows: [] };
    await ask();
  } catch (error) {
    complain(error);
  }
}

$("send").addEventListener("click", send);

function showLearning(learns) {
  $("send").hidden = $("record").hidden = !learns;
  if (learns)
    $("kept").textContent =
      "What you type goes to this server alone, and is not logged. Words of what you send are counted there, in your own file.";
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  state.token = $("token").value.trim();
  $("token").value = "";
  try {
    sessionStorage.setItem("nwp-token", state.token);
  } catch {
    // Not allowed: it lasts until the page is left.
  }
  start();
  field.focus();
});

function night() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function nameTheme() {
  $("theme").textContent = night() ? "Light" : "Dark";
}

$("theme").addEventListener("click", () => {
  const theme = night() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("nwp-theme", theme);
  } catch {
    // Not allowed: it lasts until the page is left.
  }
  nameTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", nameTheme);

function addModel({ name, about }, i) {
  const label = document.createElement("label");
  const radio = document.createElement("input");
  Object.assign(radio, { type: "radio", name: "model", value: name, checked: i === 0 });
  radio.setAttribute("aria-describedby", "about");
  radio.addEventListener("change", () => choose(name, about));
  label.append(radio, name);
  $("models").append(label);
  if (i === 0) [state.model, $("about").textContent] = [name, about];
}

function choose(name, about) {
  state.model = name;
  $("about").textContent = about;
  state.shown = { text: null, rows: [] };
  ask();
  show();
}

async function start() {
  try {
    const { models } = await call("v1/models");
    $("models").replaceChildren();
    models.forEach(addModel);
    showLearning(models.some(({ learns }) => learns));
    await ask();
  } catch (error) {
    complain(error);
  }
}

nameTheme();
show();
start();
