// Keeps the page up to date: statuses when an event says that something has changed, usage while
// somebody looks. Everything that comes from creched goes into text nodes, never into markup.
"use strict";

const KINDS = {
  running: "good", done: "good", starting: "busy", restarting: "busy", stopping: "busy",
  waiting: "busy", exited: "busy", failed: "bad", refused: "bad",
  stopped: "calm",
};
const SHOWN_EVENTS = 30;
const USAGE_EVERY = 2000;

const rows = new Map();
const cpu = new Map();
let clock = { now: 0, at: 0 };
let fetching = false;
let again = false;
let drawn = "";

const at = (id) => document.getElementById(id);

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

async function get(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) { count /= 1024; unit += 1; }
  return `${count.toFixed(unit && count < 10 ? 1 : 0)} ${units[unit]}`;
}

function ago(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 172800) return `${Math.floor(whole / 3600)} h ${Math.floor(whole / 60) % 60} min`;
  return `${Math.floor(whole / 86400)} d`;
}

const now = () => clock.now + (performance.now() - clock.at) / 1000;

function row(name) {
  let found = rows.get(name);
  if (!found) {
    const line = element("tr");
    const head = element("th", name);
    head.scope = "row";
    line.append(head);
    found = { line };
    for (const [cell, kind] of [
      ["status"], ["since", "since"], ["restarts", "number"], ["cpu", "number"],
      ["memory", "number"], ["pids", "number"], ["why", "why"],
    ]) {
      found[cell] = element("td", "", kind);
      line.append(found[cell]);
    }
    rows.set(name, found);
  }
  return found;
}

function state(workload) {
  if (workload.health === "unhealthy") return ["running, unhealthy", "bad"];
  if (workload.status === "running" && !workload.ready) return ["running, not ready", "busy"];
  if (workload.status !== "refused" && workload.problems.length) {
    return [`${workload.status}, files refused`, "busy"];
  }
  return [workload.status, KINDS[workload.status] || "calm"];
}

function show(workloads) {
  const body = document.querySelector("#workloads tbody");
  const names = new Set(workloads.map((workload) => workload.name));
  for (const [name, found] of rows) {
    if (!names.has(name)) { found.line.remove(); rows.delete(name); }
  }
  const counts = new Map();
  workloads.forEach((workload, index) => {
    const cells = row(workload.name);
    const [text, kind] = state(workload);
    cells.status.replaceChildren(element("span", text, `badge ${kind}`));
    cells.since.dataset.since = workload.since;
    cells.restarts.textContent = workload.restarts;
    const wrong = workload.status === "refused" ? [] : workload.problems.map(complaint);
    cells.why.textContent =
      [workload.status_text, workload.why, ...wrong].filter(Boolean).join(" · ");
    if (!workload.pid) for (const cell of ["cpu", "memory", "pids"]) cells[cell].textContent = "";
    if (body.children[index] !== cells.line) body.insertBefore(cells.line, body.children[index] || null);
    const [number] = counts.get(text) || [0];
    counts.set(text, [number + 1, kind]);
  });
  at("summary").replaceChildren(...[...counts].map(([text, [number, kind]]) => {
    const item = element("li");
    item.append(element("span", `${number} ${text}`, `badge ${kind}`));
    return item;
  }));
  at("workloads").hidden = workloads.length === 0;
  at("empty").hidden = workloads.length !== 0;
  tick();
}

function tick() {
  for (const { since } of rows.values()) {
    if (since.dataset.since) since.textContent = ago(now() - Number(since.dataset.since));
  }
}

// The drawing is made by creched; it is asked for again when it would be another one.
async function draw(networks) {
  const text = JSON.stringify(networks);
  if (text === drawn) return;
  const answer = await fetch("networks.svg", { cache: "no-store" });
  if (!answer.ok) return;
  const image = `data:image/svg+xml,${encodeURIComponent(await answer.text())}`;
  document.querySelector("#networks img").src = image;
  at("networks").hidden = networks.networks.length === 0 && networks.interfaces.length === 0;
  drawn = text;
}

// One request at a time, however many events come.
async function refresh() {
  if (fetching) { again = true; return; }
  fetching = true;
  try {
    do {
      again = false;
      const [about, found, networks] =
        await Promise.all([get("about"), get("workloads"), get("networks")]);
      clock = { now: about.now, at: performance.now() };
      at("about").textContent = `${about.release} · ${about.directory} · process ${about.pid}`;
      show(found.workloads);
      await draw(networks);
    } while (again);
  } catch {
    // The event stream tells that creched has gone, and comes back with it.
  } finally {
    fetching = false;
  }
}

async function measure() {
  if (document.hidden || rows.size === 0) return;
  try {
    const moment = performance.now();
    for (const usage of (await get("usage")).usage) {
      const cells = rows.get(usage.workload);
      if (!cells) continue;
      const before = cpu.get(usage.workload);
      cpu.set(usage.workload, { cpu: usage.cpu, moment });
      if (before && usage.cpu >= before.cpu) {
        const share = (usage.cpu - before.cpu) / ((moment - before.moment) / 1000);
        cells.cpu.textContent = `${(100 * share).toFixed(1)} %`;
      }
      cells.memory.textContent = bytes(usage.memory);
      cells.pids.textContent = usage.pids;
    }
  } catch {
    // As above.
  }
}

const complaint = (event) =>
  [event.file, event.line, event.key, event.message].filter(Boolean).join(": ");

function tell(event) {
  const item = element("li", undefined, event.level);
  const time = element("time", event.timestamp.slice(11, 19));
  time.dateTime = event.timestamp;
  item.append(
    time,
    element("span", event.workload || "creched", "workload"),
    element("span", event.event, "name"),
    element("span", event.reason || complaint(event), "text"),
  );
  at("events").prepend(item);
  while (at("events").children.length > SHOWN_EVENTS) at("events").lastChild.remove();
}

function follow() {
  const source = new EventSource(`events?tail=${SHOWN_EVENTS}`);
  const live = at("live");
  source.onopen = () => { live.textContent = "live"; live.className = "on"; refresh(); };
  source.onerror = () => {
    live.textContent = "creched does not answer";
    live.className = "off";
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 2000);
  };
  source.onmessage = (message) => { tell(JSON.parse(message.data)); refresh(); };
}

follow();
measure();
setInterval(measure, USAGE_EVERY);
setInterval(tick, 1000);
