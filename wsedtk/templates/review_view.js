// ---------------------------------------------------------------- the list

function counts() {
  const found = { accepted: 0, rejected: 0, unreviewed: 0, all: data.shown.length };
  for (const one of data.shown) found[event(one.event).status] += 1;
  return { ...found, done: found.all - found.unreviewed };
}

/** Group and filter the events. `view` has the indices of the excerpts in the order of the list. */
function arrange() {
  const shown = view[position], by = $("group").value, only = $("filter").value;
  const groups = new Map();
  data.shown.forEach((one, number) => {
    const about = event(one.event), [recording, , , label] = data.events[one.event];
    if (only && about.status !== only) return;
    const name = by === "class" ? label : by === "recording" ? data.recordings[recording].name : "";
    groups.set(name, [...(groups.get(name) || []), number]);
  });
  view = [...groups.values()].flat();
  items = new Map();
  $("groups").replaceChildren(...[...groups].map(([name, numbers]) => {
    const part = document.createElement("section"), list = document.createElement("ol");
    if (name) part.append(Object.assign(document.createElement("h3"), { textContent: `${name} (${numbers.length})` }));
    for (const number of numbers) list.append(item(number));
    part.append(list);
    return part;
  }));
  if (!view.length) {
    say("There are no such events");
    $("filter").value = "";
    return arrange();
  }
  position = Math.max(0, view.indexOf(shown));
}

function item(number) {
  const button = document.createElement("button");
  button.type = "button";
  for (const name of ["mark", "name", "score"]) button.append(Object.assign(document.createElement("span"), { className: name }));
  button.append(document.createElement("small"));
  button.onclick = () => go(view.indexOf(number));
  items.set(number, button);
  const row = document.createElement("li");
  row.append(button);
  return row;
}

function renderList() {
  for (const [number, button] of items) {
    const one = event(data.shown[number].event);
    const [mark, name, score, place] = button.children;
    button.className = one.status;
    button.setAttribute("aria-current", number === view[position]);
    button.setAttribute("aria-label", `${one.label}, ${one.status}, ${data.recordings[one.recording].name} at ${clock(one.onset)}`);
    mark.textContent = MARKS[one.status];
    name.textContent = one.label;
    score.textContent = one.score === null ? "" : one.score.toFixed(2);
    place.textContent = `${data.recordings[one.recording].name}, ${clock(one.onset)}`;
  }
}

// ---------------------------------------------------------------- the current event

const pad = number => String(number).padStart(2, "0");

/** Return seconds as 12.30 s, 1:02.30 or 1:00:02.30. */
function clock(time) {
  const hours = Math.floor(time / 3600), minutes = Math.floor(time / 60) % 60, rest = (time % 60).toFixed(2);
  if (time < 60) return rest + " s";
  return (hours ? `${hours}:${pad(minutes)}` : String(minutes)) + ":" + rest.padStart(5, "0");
}

function clockTime(one) {
  const start = data.recordings[one.recording].start;
  if (!start) return "";
  return ", " + new Date(Date.parse(start + "Z") + 1000 * one.onset).toISOString().slice(0, 19).replace("T", " ");
}

function percent(time) {
  const { start, end } = excerpt();
  return 100 * (time - start) / (end - start);
}

function box(one, kind, title) {
  const element = document.createElement("div"), { start, end } = excerpt();
  const left = percent(Math.max(one.onset, start)), right = percent(Math.min(one.offset, end));
  // A name that is longer than its event continues on the side with more space.
  element.className = `${one.status} ${kind}${left + right > 100 ? " late" : ""}`;
  element.style.left = `${left}%`;
  element.style.width = `${Math.max(0, right - left)}%`;
  element.append(Object.assign(document.createElement("bdi"), { textContent: title }));
  return element;
}

function inExcerpt(one) {
  const { start, end } = excerpt(), { recording } = event(currentIndex());
  return one.recording === recording && one.offset >= start && one.onset <= end;
}

/** Return the other events of the table in this excerpt. */
function neighbours() {
  const own = currentIndex(), [recording] = data.events[own];
  return ofRecording.get(recording).filter(index => index !== own).map(event).filter(inExcerpt);
}

function renderBoxes() {
  const own = event(currentIndex()), shown = excerpt();
  const others = neighbours().filter(one => one.status !== "rejected").map(one => box(one, "other", one.label));
  const mine = added.filter(inExcerpt).map(one => box(one, one.id === active ? "current" : "other", one.label));
  $("boxes").replaceChildren(...others, ...mine, box(own, active === null ? "current" : "other", own.label));
  const one = target();
  for (const name of ["onset", "offset"]) {
    const handle = $(name), time = one[name];
    handle.hidden = time < shown.start || time > shown.end;
    handle.style.left = `${percent(time)}%`;
    handle.setAttribute("aria-valuemin", shown.start);
    handle.setAttribute("aria-valuemax", shown.end);
    handle.setAttribute("aria-valuenow", time);
    handle.setAttribute("aria-valuetext", clock(time));
  }
}

function renderAdded() {
  $("added").replaceChildren(...added.filter(inExcerpt).map(one => {
    const row = document.createElement("li"), name = document.createElement("button"), remove = document.createElement("button");
    name.type = remove.type = "button";
    name.textContent = `+ ${one.label} ${clock(one.onset)}`;
    name.setAttribute("aria-pressed", one.id === active);
    name.onclick = () => { active = one.id === active ? null : one.id; render(); };
    remove.textContent = "✕";
    remove.setAttribute("aria-label", `Remove the added event ${one.label}`);
    remove.onclick = () => drop(one.id);
    row.append(name, remove);
    return row;
  }));
}

function render() {
  const one = target(), recording = data.recordings[one.recording], number = counts();
  $("label").textContent = one.label;
  $("state").textContent = active === null ? one.status : "added";
  $("state").className = one.status;
  const score = one.score === null ? "" : `, score ${one.score.toFixed(3)}`;
  $("about").textContent = `${recording.name}, ${clock(one.onset)} to ${clock(one.offset)}${score}${clockTime(one)}`;
  $("picture").alt = `Spectrogram of ${recording.name} from ${clock(excerpt().start)} to ${clock(excerpt().end)}`;
  $("progress").setAttribute("aria-valuenow", number.done);
  $("progress").setAttribute("aria-valuemax", number.all);
  $("progress").firstElementChild.style.width = `${100 * number.done / number.all}%`;
  const left = data.events.length - number.all;
  $("count").textContent = `${number.done} of ${number.all} reviewed: ${number.accepted} accepted, ${number.rejected} rejected`
    + (added.length ? `, ${added.length} added` : "")
    + (left ? `. ${left} more events are not on this page; the table lists them as they were.` : "");
  $("save").classList.toggle("unsaved", unsaved);
  $("save").title = unsaved ? "There are decisions that are not in a saved table" : "";
  renderBoxes();
  renderAdded();
  renderList();
}

/** Go to the event at a position of the list. */
function go(to, added_event = null) {
  position = Math.min(Math.max(0, to), view.length - 1);
  active = added_event;
  lastKind = "";
  const shown = excerpt(), sound = $("sound");
  sound.pause();
  $("cursor").hidden = true;
  if (sound.dataset.shown !== String(view[position])) {
    sound.dataset.shown = view[position];
    sound.src = shown.sound;
    $("picture").src = shown.picture;
  }
  $("khz").replaceChildren(...shown.ticks.map(([height, name], number) => {
    const tick = document.createElement("span");
    tick.textContent = name + (number === shown.ticks.length - 1 ? " kHz" : "");
    tick.style.bottom = `${100 * height}%`;
    return tick;
  }));
  const width = shown.end - shown.start, step = [0.1, 0.2, 0.5, 1, 2, 5, 10].find(one => width / one <= 8) || 20;
  const ticks = [];
  for (let k = Math.ceil(shown.start / step + 0.25); k * step < shown.end - step / 4; k++) {
    const tick = document.createElement("span"), time = k * step;
    tick.textContent = shown.end < 60 ? `${Number(time.toFixed(1))} s` : clock(time).replace(/\.?0+$/, "");
    tick.style.left = `${percent(time)}%`;
    ticks.push(tick);
  }
  $("seconds").replaceChildren(...ticks);
  render();
  items.get(view[position]).scrollIntoView({ block: "nearest" });
  if (innerWidth <= 960) scrollTo({ top: 0 });
  if ($("auto").checked) play();
}

function firstUnreviewed(after = -1) {
  const is = number => event(data.shown[number].event).status === "unreviewed";
  const next = view.findIndex((number, place) => place > after && is(number));
  return next >= 0 ? next : view.findIndex(is);
}

function advance() {
  const next = firstUnreviewed(position);
  if (next >= 0) return go(next);
  render();
  say("All events are reviewed. Save the table.");
}
