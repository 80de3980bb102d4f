// The waiting page: JupyterHub's progress events as steps. Everything that comes is shown as text, never as HTML.
"use strict";

// Who wants to be told, also after a reload: this tab's, and of this start.
const WISH = `hpc-notify:${window.location.pathname}`;

// A start that failed: the page is complete, but for the Hub's address and a button.
(() => {
  const page = document.querySelector("[data-failed]");
  if (!page) return;
  const report = document.getElementById("hpc-report");
  sessionStorage.removeItem(WISH);
  const button = document.getElementById("hpc-copy");
  if (!report) return;
  report.textContent += `\nHub: ${window.location.origin}${page.dataset.failed}`;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(report.textContent);
      button.textContent = "Copied";
    } catch (error) {
      window.getSelection().selectAllChildren(report);
      button.textContent = "Selected: copy it with the keyboard";
    }
  });
})();

(() => {
  const page = document.querySelector("[data-progress]");
  if (!page) return;
  const STEPS = ["submit", "queue", "node", "server", "ready"];
  const { progress, server } = page.dataset;
  const next = new URLSearchParams(window.location.search).get("next");
  const again = page.dataset.again + (next ? `?${new URLSearchParams({ next })}` : "");
  const api = progress.split("?")[0].replace(/\/progress$/, "");
  const element = (id) => document.getElementById(id);
  const step = (key) => page.querySelector(`[data-step="${key}"]`);
  const bar = page.querySelector(".progress");
  const told = new Map();
  let last = null;
  let beside = null;
  let over = false;

  // A live region is read aloud at every change: none without one.
  function put(node, text) {
    if (node.textContent !== text) node.textContent = text;
  }

  function clock(seconds) {
    const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
    return parts.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
  }

  function show(event) {
    bar.setAttribute("aria-valuenow", event.progress);
    element("hpc-bar").style.width = `${event.progress}%`;
    if (!event.step) {
      put(element("hpc-now"), event.message);
      return;
    }
    const text = event.text || event.message;
    put(element("hpc-now"), text);
    const at = STEPS.indexOf(event.step);
    // A job may be put back: what comes later has not happened.
    for (const key of STEPS.slice(at + 1)) {
      told.delete(key);
      put(step(key).querySelector(".hpc-step-text"), "");
      put(step(key).querySelector(".hpc-step-time"), "");
    }
    told.set(event.step, event.since);
    STEPS.forEach((key, index) => {
      step(key).className = index < at ? "done" : index === at ? "now" : "";
      if (index === at) step(key).setAttribute("aria-current", "step");
      else step(key).removeAttribute("aria-current");
    });
    const never = event.can_start === false;
    if (never || event.suspended) step(event.step).classList.add("halted");
    put(step(event.step).querySelector(".hpc-step-text"), event.why || text);
    if (event.nodes) put(step("node").querySelector(".hpc-step-text"), event.nodes);
    showRuntimes(event);
    stuck(never ? event.explanation || event.reason : "");
    last = event;
    tick();
  }

  // They start beside the server: a step that the session does not wait for.
  const runtimes = step("runtimes");
  let later = "";
  function showRuntimes(event) {
    if (event.runtimes && event.runtimes.length) {
      runtimes.hidden = false;
      put(runtimes.querySelector(".hpc-step-title"), event.runtimes.join(" and "));
      later = `${event.runtimes.length > 1 ? "Start" : "Starts"} when the server answers; the session does not wait for that.`;
    }
    beside = event.beside || null;
    runtimes.className = beside ? beside.state : "";
    put(runtimes.querySelector(".hpc-step-text"), beside ? beside.text : later);
    put(runtimes.querySelector(".hpc-step-time"), "");
  }

  // It would wait for ever: say so, and offer the way out first.
  function stuck(why) {
    page.classList.toggle("hpc-stuck-now", Boolean(why));
    if (why) put(element("hpc-stuck-why"), `${why}.`);
    put(element("hpc-doing"), why ? "does not start" : "is starting");
    element("hpc-stuck").hidden = !why;
    element("hpc-change").classList.toggle("btn-primary", Boolean(why));
    element("hpc-change").classList.toggle("btn-outline-secondary", !why);
  }

  // How long each step took, and when the batch system expects the start.
  function tick() {
    if (!last || over) return;
    const now = Date.now() / 1000;
    const begun = STEPS.filter((key) => told.has(key));
    begun.forEach((key, index) => {
      const end = index + 1 < begun.length ? told.get(begun[index + 1]) : now;
      put(step(key).querySelector(".hpc-step-time"), clock(Math.max(0, end - told.get(key))));
      step(key).querySelector(".hpc-step-time").title = `Since ${new Date(told.get(key) * 1000).toLocaleString()}`;
    });
    if (beside) put(runtimes.querySelector(".hpc-step-time"), clock(Math.max(0, (beside.until || now) - beside.since)));
    put(element("hpc-clock"), last.estimate ? expected(last.estimate, now) : "");
  }

  function expected(estimate, now) {
    const at = new Date(estimate * 1000);
    const day = at.toDateString() === new Date().toDateString() ? "" : `${at.toLocaleDateString()} `;
    const when = `${day}${at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}`;
    return estimate > now
      ? `Expected to start in ${clock(estimate - now)}, at ${when} (the batch system's estimate)`
      : `It is late: the batch system's estimate was ${when}, ${clock(now - estimate)} ago`;
  }

  function finish() {
    over = true;
    sessionStorage.removeItem(WISH);
    events.close();
  }

  // The Hub has a page that says why, the same to whoever comes back later.
  function fail(event) {
    finish();
    if (!/^Spawn (cancelled|failed: The start was cancelled)/.test(event.message)) {
      tell("Your session could not start");
      window.location.reload();
      return;
    }
    put(element("hpc-now"), "The start was cancelled.");
    put(element("hpc-clock"), "");
    for (const each of page.querySelectorAll(".hpc-steps .now")) each.className = "failed";
    stuck("");
    element("hpc-cancel").hidden = element("hpc-notify").hidden = true;
  }

  function ready() {
    finish();
    tell("Your session is ready");
    window.location.reload();
  }

  let wants = false;
  function tell(news) {
    if (wants && document.hidden) new Notification(news, { body: page.dataset.title || document.title });
  }

  // This server and no other, also where it has a name.
  async function cancel(goTo) {
    for (const id of ["hpc-cancel", "hpc-change"]) element(id).disabled = true;
    put(element("hpc-now"), "Cancelling the job.");
    finish();
    const response = await fetch(api, {
      method: "DELETE", headers: { "X-XSRFToken": new URLSearchParams(progress.split("?")[1]).get("_xsrf") || "" },
    }).catch((error) => ({ ok: false, statusText: error.message }));
    if (!response.ok && response.status !== 404) {
      put(element("hpc-now"), `It could not be cancelled: ${response.statusText}. Reload this page and try again.`);
      return;
    }
    if (response.status === 202) await stopped();
    window.location.assign(goTo);
  }

  // The Hub is still at it: its home page shows what it does, the form would not be there yet.
  async function stopped() {
    const user = api.replace(/\/servers?(\/[^/]*)?$/, "");
    for (let tries = 0; tries < 60; tries += 1) {
      const found = await fetch(user).then((response) => response.json()).catch(() => ({}));
      if (!((found.servers || {})[server] || {}).pending) return;
      await new Promise((resolve) => { setTimeout(resolve, 500); });
    }
  }

  function offerNotification() {
    if (!("Notification" in window) || Notification.permission === "denied") return;
    const button = element("hpc-notify");
    button.hidden = false;
    const wish = (granted) => {
      wants = granted;
      button.textContent = wants ? "You will be told" : "Your browser does not allow it";
      button.disabled = true;
      if (wants) sessionStorage.setItem(WISH, "yes");
    };
    button.addEventListener("click", async () => wish((await Notification.requestPermission()) === "granted"));
    if (sessionStorage.getItem(WISH) && Notification.permission === "granted") wish(true);
  }

  // Anew every now and then: through a proxy nobody hears of it when the Hub is gone, or back. What was told already is
  // not told again.
  const seen = new Set();
  let events = null;
  function listen() {
    if (over || (events && events.readyState === EventSource.CLOSED)) return;
    if (events) events.close();
    events = new EventSource(progress);
    events.onmessage = hear;
    events.onerror = () => {
      if (!over && events.readyState === EventSource.CLOSED) comeBack();
    };
  }

  // The Hub is away: a browser tries again by itself only where nobody answers at all. Its proxy answers without it, and
  // for a moment with "not found": only the Hub speaks JSON.
  async function comeBack() {
    put(element("hpc-now"), "The Hub does not answer just now. Your session goes on, and so does this page.");
    for (;;) {
      await new Promise((resolve) => { setTimeout(resolve, 2000); });
      const response = await fetch(api.replace(/\/servers?(\/[^/]*)?$/, "")).catch(() => null);
      if (over) return;
      if (response && response.status < 500 && /json/.test(response.headers.get("Content-Type"))) {
        window.location.reload();
        return;
      }
    }
  }

  function hear(message) {
    if (seen.has(message.data)) return;
    seen.add(message.data);
    const event = JSON.parse(message.data);
    if (event.failed) {
      // The form says it, too, with all that was filled in.
      if (/^Spawn failed: The (batch system refused the job|job could not be submitted):/.test(event.message)) {
        finish();
        tell("Your session could not start");
        window.location.replace(again);
      } else fail(event);
    } else {
      show(event);
      if (event.ready) ready();
    }
  }

  element("hpc-cancel").addEventListener("click", () => cancel(page.dataset.again.replace(/spawn\/.*$/, "home")));
  element("hpc-change").addEventListener("click", () => (over ? window.location.assign(again) : cancel(again)));
  offerNotification();
  listen();
  setInterval(listen, 20000);
  setInterval(tick, 1000);
})();
