// ---------------------------------------------------------------- actions

let hiding = 0;
function say(message) {
  $("status").textContent = message;
  clearTimeout(hiding);
  hiding = setTimeout(() => { $("status").textContent = ""; }, 6000);
}

function notice(message) {
  $("notice").hidden = !message;
  $("notice").textContent = message;
}

function decide(status) {
  if (active !== null) {
    if (status === "rejected") return drop(active);
    active = null;
    return render();
  }
  const { label } = event(currentIndex());
  change({ status }, "");
  say(`${label}: ${status}`);
  advance();
}

function drop(id) {
  remember("");
  added = added.filter(one => one.id !== id);
  active = null;
  keep();
  render();
  say("Removed the added event");
}

function relabel() {
  const one = target();
  pick(`Class of the event instead of ${one.label}`, label => {
    change({ label, status: "accepted" }, "");
    say(`${label}: accepted`);
    if (active === null) advance();
    else render();
  });
}

function add(onset, offset) {
  const shown = excerpt(), width = Math.min(1, (shown.end - shown.start) / 4);
  if (onset === undefined) {
    const middle = $("cursor").hidden ? (shown.start + shown.end) / 2 : shown.start + $("sound").currentTime;
    onset = Math.min(Math.max(shown.start, middle - width / 2), shown.end - width);
    offset = onset + width;
  }
  pick("Class of the missed event", label => {
    remember("");
    const id = nextId++, { recording } = event(currentIndex());
    added = [...added, { id, recording, onset: round(onset), offset: round(offset), label, score: null, status: "accepted" }];
    keep();
    active = id;
    render();
    say(`Added ${label}. The arrow keys move its edges.`);
  });
}

/** Move an edge of the current event to a time. The event is then accepted. */
function move(name, time, kind) {
  const { start, end } = excerpt(), one = target();
  const inside = Math.min(Math.max(time, start), end);
  const value = round(name === "onset" ? Math.min(inside, one.offset - LEAST) : Math.max(inside, one.onset + LEAST));
  if (value === one[name]) return;
  change({ [name]: value, status: "accepted" }, kind || name);
  render();
}

function nudge(name, direction) {
  const { start, end } = excerpt(), time = target()[name];
  move(name, Math.min(Math.max(time, start), end) + direction * STEP);
}

function play() {
  const sound = $("sound");
  sound.play().catch(error => { if (error.name !== "AbortError") say(`The sound can't be played: ${error.message}`); });
}

function toggle() {
  if ($("sound").paused) play();
  else $("sound").pause();
}

function follow() {
  const sound = $("sound");
  $("cursor").hidden = false;
  $("cursor").style.left = `${percent(excerpt().start + sound.currentTime)}%`;
  if (!sound.paused) requestAnimationFrame(follow);
}

// ---------------------------------------------------------------- choosing a class

let chosen = null, options = [], marked = 0;

function pick(title, done) {
  chosen = done;
  $("picker-title").textContent = title;
  $("class").value = "";
  $("sound").pause();
  renderClasses();
  $("picker").showModal();
  $("class").focus();
}

function renderClasses() {
  const typed = clean($("class").value), lower = typed.toLowerCase(), all = classes();
  const ranked = all.filter(name => name.toLowerCase().includes(lower));
  ranked.sort((one, other) => other.toLowerCase().startsWith(lower) - one.toLowerCase().startsWith(lower));
  options = ranked.slice(0, 100).map(name => ({ name, title: name }));
  const same = options.findIndex(option => option.name === typed);
  if (typed && !all.includes(typed)) options.push({ name: typed, title: `New class: ${typed}` });
  marked = Math.max(0, same);
  $("classes").replaceChildren(...options.map((option, number) => {
    const row = document.createElement("li"), key = document.createElement("kbd"), name = document.createElement("span");
    row.role = "option";
    row.id = `class-${number}`;
    key.textContent = !typed && number < 9 ? number + 1 : "";
    key.hidden = !key.textContent;
    name.textContent = option.title;
    row.append(key, name);
    row.onclick = () => choose(number);
    return row;
  }));
  markClass();
}

function markClass() {
  [...$("classes").children].forEach((row, number) => row.setAttribute("aria-selected", number === marked));
  $("class").setAttribute("aria-activedescendant", `class-${marked}`);
  $("classes").children[marked]?.scrollIntoView({ block: "nearest" });
}

function choose(number) {
  if (!options[number]) return;
  $("picker").close();
  chosen(options[number].name);
}

$("class").oninput = renderClasses;
$("class").onkeydown = key => {
  if (key.isComposing || !$("picker").open) return;  // the focus leaves a closed dialog a bit later
  const digit = /^[1-9]$/.test(key.key) && !$("class").value && options[key.key - 1];
  if (key.key === "Enter") choose(marked);
  else if (digit) choose(key.key - 1);
  else if (key.key === "ArrowDown" || key.key === "ArrowUp") {
    marked = (marked + (key.key === "ArrowDown" ? 1 : options.length - 1)) % options.length;
    markClass();
  } else return;
  key.preventDefault();
};

// ---------------------------------------------------------------- dragging

/** Return the time at a place of the screen. */
function timeAt(x) {
  const { left, width } = $("spectrogram").getBoundingClientRect(), { start, end } = excerpt();
  return start + Math.min(Math.max((x - left) / width, 0), 1) * (end - start);
}

for (const name of ["onset", "offset"]) {
  const handle = $(name);
  handle.onpointerdown = down => {
    if (down.button) return;
    down.preventDefault();
    handle.setPointerCapture(down.pointerId);
    const shift = timeAt(down.clientX) - target()[name], kind = `${name} ${down.timeStamp}`;
    handle.onpointermove = moved => move(name, timeAt(moved.clientX) - shift, kind);
    handle.onpointerup = handle.onpointercancel = () => { handle.onpointermove = null; };
  };
  handle.onkeydown = key => {
    if (key.ctrlKey || key.metaKey || key.altKey || !key.key.match(/^Arrow(Left|Right)$/)) return;
    nudge(name, key.key === "ArrowRight" ? 1 : -1);
    key.preventDefault();
    key.stopPropagation();
  };
}

let drag = null;
$("spectrogram").onpointerdown = down => {
  if (down.button || down.target.closest(".handle")) return;
  drag = { x: down.clientX, moved: false };
};
addEventListener("pointermove", moved => {
  if (!drag) return;
  drag.moved ||= Math.abs(moved.clientX - drag.x) > 8;
  drag.to = moved.clientX;
  $("drawn").hidden = !drag.moved;
  const times = [timeAt(drag.x), timeAt(moved.clientX)].sort((one, other) => one - other);
  $("drawn").style.left = `${percent(times[0])}%`;
  $("drawn").style.width = `${percent(times[1]) - percent(times[0])}%`;
});
addEventListener("pointerup", up => {
  if (!drag) return;
  const times = [timeAt(drag.x), timeAt(up.clientX)].sort((one, other) => one - other), { moved } = drag;
  drag = null;
  $("drawn").hidden = true;
  if (moved) return add(...times);
  $("sound").currentTime = times[0] - excerpt().start;
  play();
});
addEventListener("pointercancel", () => { drag = null; $("drawn").hidden = true; });

// ---------------------------------------------------------------- keys and buttons

const previous = () => go(position - 1), next = () => go(position + 1);
const showHelp = () => $("helping").showModal();
const KEYS = {
  a: () => decide("accepted"), Enter: () => decide("accepted"), r: () => decide("rejected"), x: () => decide("rejected"),
  l: relabel, n: () => add(), j: next, ArrowDown: next, k: previous, ArrowUp: previous, " ": toggle, u: undo, s: save, "?": showHelp,
  ArrowLeft: shift => nudge(shift ? "offset" : "onset", -1), ArrowRight: shift => nudge(shift ? "offset" : "onset", 1),
  Escape: () => { active = null; render(); },
};

addEventListener("keydown", key => {
  if (key.defaultPrevented || document.querySelector("dialog[open]")) return;
  if (key.ctrlKey || key.metaKey || key.altKey || key.isComposing) return;
  const on = key.target.closest("dialog") ? document.body : key.target;
  const is_arrow = key.key.startsWith("Arrow");
  if (on.matches("select") && (is_arrow || key.key.length === 1 || key.key === "Enter")) return;
  if ((key.key === "Enter" || key.key === " ") && on.matches("button:not(.handle), input[type=checkbox]")) return;
  const action = KEYS[key.key.length === 1 ? key.key.toLowerCase() : key.key];
  if (!action || (key.repeat && !is_arrow)) return;
  key.preventDefault();
  action(key.shiftKey);
});

// After a click, the keys Enter and Space belong to the page again, not to the button.
addEventListener("click", click => {
  const button = click.target.closest("button, input[type=checkbox]");
  if (button && click.detail && !button.closest("dialog")) button.blur();
});

const BUTTONS = {
  accept: () => decide("accepted"), reject: () => decide("rejected"), relabel, play: toggle, previous, next, add: () => add(), undo,
  save, copy, load: () => $("file").click(), help: showHelp,
};
for (const [name, action] of Object.entries(BUTTONS)) $(name).onclick = action;
for (const button of document.querySelectorAll("dialog .close")) button.onclick = () => button.closest("dialog").close();
for (const name of ["group", "filter"]) $(name).onchange = () => { arrange(); go(position); };
$("file").onchange = async () => {
  const [file] = $("file").files;
  $("file").value = "";
  if (!file) return;
  try { load(await file.text()); } catch (error) { say(`${file.name}: ${error.message}`); }
};
const sound = $("sound");
sound.onplay = () => { $("play").firstChild.textContent = "Pause "; follow(); };
sound.onpause = () => { $("play").firstChild.textContent = "Play "; };
sound.onseeked = follow;
addEventListener("beforeunload", leaving => { if (!keeps && unsaved) leaving.preventDefault(); });

restore();
$("group").value = data.group;
arrange();
go(Math.max(0, firstUnreviewed()));
