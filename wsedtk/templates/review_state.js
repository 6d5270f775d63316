"use strict";
// data.events: [recording, onset, offset, label, score, status]. data.shown: the excerpts of those
// events that are on the page. The user's decisions are in `changes` (by the index of the event)
// and `added` (events that were missed). Their objects are never changed, only replaced.
const $ = id => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const STEP = 0.05, LEAST = 0.01, KEY = "wsedtk review " + data.fingerprint;
const HEADER = ["filename", "onset", "offset", "event_label", "score", "status"];
const STATUSES = ["accepted", "rejected", "unreviewed"];
const MARKS = { accepted: "✓", rejected: "✗", unreviewed: "" };
const ofRecording = new Map();  // the indices of the events of each recording
data.events.forEach(([recording], index) => {
  if (!ofRecording.has(recording)) ofRecording.set(recording, []);
  ofRecording.get(recording).push(index);
});
let changes = {}, added = [], unsaved = false, nextId = 1, keeps = true;
let view = [], position = 0, active = null, undone = [], lastKind = "", items = new Map();

// ---------------------------------------------------------------- state

const round = time => Math.round(time * 1000) / 1000;
const clean = text => text.replace(/[\u0000-\u001f\u007f\u0085\u2028\u2029]/g, " ").normalize("NFC").trim();

function event(index) {
  const [recording, onset, offset, label, score, status] = data.events[index];
  return { recording, onset, offset, label, score, status, ...changes[index] };
}

const excerpt = () => data.shown[view[position]];
const currentIndex = () => excerpt().event;
const target = () => (active === null ? event(currentIndex()) : added.find(one => one.id === active));

function classes() {
  const own = [...Object.values(changes), ...added].map(one => one.label).filter(label => label !== undefined);
  return [...new Set([...data.classes, ...own])];
}

/** Keep a copy of the state for undo. Repeated actions of one kind are undone together. */
function remember(kind, whole) {
  const index = currentIndex(), full = `${kind} ${index} ${active}`;
  if (kind && full === lastKind) return;
  lastKind = full;
  undone.push({ index, change: changes[index], all: whole ? changes : null, added, active, shown: view[position] });
  if (undone.length > 500) undone.shift();
}

function undo() {
  const last = undone.pop();
  lastKind = "";
  if (!last) return say("There is nothing to undo");
  if (last.all) changes = last.all;
  else {
    changes = { ...changes };
    if (last.change) changes[last.index] = last.change;
    else delete changes[last.index];
  }
  added = last.added;
  keep();
  active = last.active;
  if (!view.includes(last.shown)) { $("filter").value = ""; arrange(); }
  go(view.indexOf(last.shown), last.active);
  say("Undone");
}

/** Change the current event, or the added event that is active. */
function change(values, kind) {
  remember(kind);
  if (active === null) {
    const index = currentIndex();
    changes = { ...changes, [index]: { ...changes[index], ...values } };
  } else added = added.map(one => (one.id === active ? { ...one, ...values } : one));
  keep();
}

function keep() {
  unsaved = true;
  store();
}

function store() {
  try {
    localStorage.setItem(KEY, JSON.stringify({ changes, added, unsaved }));
    if (!keeps) { keeps = true; notice(""); }
  } catch (error) {
    keeps = false;
    notice("This browser does not keep your decisions. Save the table before you close the page.");
  }
}

function restore() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) || "{}");
    changes = found.changes || {};
    added = found.added || [];
    unsaved = Boolean(found.unsaved);
    nextId = 1 + Math.max(0, ...added.map(one => one.id));
  } catch (error) { /* `store` shows the notice */ }
  store();
}

// ---------------------------------------------------------------- the table

/** Return a time in seconds with at least three decimals. */
const seconds = time => time.toFixed(6).replace(/0{1,3}$/, "");

function rows() {
  const all = [...data.events.map((_, index) => event(index)), ...added];
  const order = (one, other) => one.recording - other.recording || one.onset - other.onset || one.offset - other.offset;
  return all.sort(order).map(one => [
    data.recordings[one.recording].name, seconds(one.onset), seconds(one.offset), one.label,
    one.score === null ? "" : String(one.score), one.status]);
}

const text = () => [HEADER, ...rows()].map(row => row.join("\t") + "\n").join("");

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text()], { type: "text/tab-separated-values" }));
  link.download = "review.tsv";
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  unsaved = false;
  store();
  render();
  const { done, all } = counts();
  say(`Saved review.tsv: ${done} of ${all} events on this page are reviewed`);
}

async function copy() {
  $("table").value = text();
  $("copying").showModal();
  $("table").select();
  let copied = false;
  try { await navigator.clipboard.writeText(text()); copied = true; } catch (error) {
    copied = document.execCommand("copy");
  }
  say(copied ? "The table is in the clipboard" : "Copy the marked text");
}

function parse(content) {
  const [header, ...lines] = content.replace(/^\ufeff/, "").replace(/\r\n?/g, "\n").split("\n");
  if (header.split("\t").map(name => name.trim().toLowerCase()).join() !== HEADER.join())
    throw Error("this is not a review table: the first line is not " + HEADER.join(", "));
  const names = new Map(data.recordings.map((one, index) => [one.name, index]));
  const found = [];
  let strange = 0;
  lines.forEach((line, number) => {
    if (!line.trim()) return;
    const [name, onset, offset, label, score, status] = line.split("\t").map(field => field.trim());
    if (name && !onset && !status) return;
    const times = [Number(onset), Number(offset)];
    if (!onset || !offset || !times.every(Number.isFinite) || times[1] < times[0] || !clean(label || "") || !STATUSES.includes(status))
      throw Error(`line ${number + 2} is not an event: ${line}`);
    if (!names.has(name)) { strange += 1; return; }
    const value = score === "" ? null : Number(score);
    found.push({ recording: names.get(name), onset: times[0], offset: times[1], label: clean(label), score: value, status });
  });
  return { found, strange };
}

/** Give each event of the page the row of a table: an equal row, else one with the same score. */
function load(content) {
  const { found, strange } = parse(content);
  const fresh = {}, left = new Set(found);
  const key = one => JSON.stringify([one.recording, seconds(one.onset), seconds(one.offset), one.label]);
  const equal = new Map(found.map(one => [key(one), one]));
  const take = (index, row) => { left.delete(row); fresh[index] = row; };
  const rest = [];
  data.events.forEach((_, index) => {
    const [recording, onset, offset, label] = data.events[index];
    const row = equal.get(key({ recording, onset, offset, label }));
    if (row && left.has(row)) take(index, row);
    else rest.push(index);
  });
  const overlap = (one, other) => Math.min(one.offset, other.offset) - Math.max(one.onset, other.onset);
  const near = new Map();
  for (const row of left) near.set(row.recording, [...(near.get(row.recording) || []), row]);
  let missing = 0;
  for (const index of rest) {
    const [recording, onset, offset, label, score] = data.events[index];
    const fitting = (near.get(recording) || []).filter(row => left.has(row) && row.score === score
      && (overlap(row, { onset, offset }) >= 0 || row.label === label));
    fitting.sort((one, other) => overlap(other, { onset, offset }) - overlap(one, { onset, offset }));
    if (fitting.length) take(index, fitting[0]);
    else missing += 1;
  }
  remember("", true);
  changes = {};
  for (const [index, { onset, offset, label, status }] of Object.entries(fresh)) {
    const old = data.events[index];
    if (onset !== old[1] || offset !== old[2] || label !== old[3] || status !== old[5])
      changes[index] = { onset, offset, label, status };
  }
  added = [...left].map(row => ({ ...row, id: nextId++ }));
  active = null;
  keep();
  arrange();
  go(firstUnreviewed());
  const remarks = [`Loaded ${found.length} events`];
  if (missing) remarks.push(`${missing} events of this page are not in the table, and stay unreviewed`);
  if (strange) remarks.push(`${strange} events of recordings that are not on this page were left out`);
  say(remarks.join(". "));
}
