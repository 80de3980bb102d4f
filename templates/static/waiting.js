// The waiting page: JupyterHub's progress events as steps. Everything that comes is shown as text, never as HTML.
"use strict";

(() => {
  const page = document.querySelector(".hpc-waiting");
  if (!page) return;
  const STEPS = ["submit", "queue", "node", "server", "ready"];
  const { progress, again, server } = page.dataset;
  const api = progress.split("?")[0].replace(/\/progress$/, "");
  const element = (id) => document.getElementById(id);
  const step = (key) => page.querySelector(`[data-step="${key}"]`);
  const bar = page.querySelector(".progress");
  const told = new Map();
  let last = null;
  let over = false;

  function clock(seconds) {
    const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
    return parts.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
  }

  function show(event) {
    element("hpc-now").textContent = event.message;
    bar.setAttribute("aria-valuenow", event.progress);
    element("hpc-bar").style.width = `${event.progress}%`;
    if (!event.step) return;
    if (!told.has(event.step)) told.set(event.step, event.time);
    const at = STEPS.indexOf(event.step);
    STEPS.forEach((key, index) => {
      step(key).classList.toggle("done", index < at || event.ready === true);
      step(key).classList.toggle("now", index === at && !event.ready);
      step(key).toggleAttribute("aria-current", index === at);
    });
    step(event.step).querySelector(".hpc-step-text").textContent = event.message;
    last = event;
    tick();
  }

  // How long each step took, and when the batch system expects the next.
  function tick() {
    if (!last || over) return;
    const now = Date.now() / 1000;
    const begun = [...told.entries()];
    begun.forEach(([key, time], index) => {
      const end = index + 1 < begun.length ? begun[index + 1][1] : now;
      step(key).querySelector(".hpc-step-time").textContent = clock(Math.max(0, end - time));
    });
    const left = last.estimate ? last.estimate - now : 0;
    element("hpc-clock").textContent = left > 0 ? `Expected to start in ${clock(left)} (the batch system's estimate)` : "";
  }

  function fail(event) {
    over = true;
    const [what, ...log] = event.message.replace(/^Spawn failed: /, "").split("\n");
    page.classList.add("hpc-failed-now");
    page.querySelector("h1").textContent = "Your session did not start";
    element("hpc-now").textContent = "";
    element("hpc-clock").textContent = "";
    for (const each of page.querySelectorAll(".hpc-steps .now")) each.classList.replace("now", "failed");
    element("hpc-failed").hidden = false;
    page.querySelector(".hpc-failed-what").textContent = what;
    page.querySelector(".hpc-failed details").hidden = !log.length;
    page.querySelector(".hpc-failed pre").textContent = log.join("\n");
    element("hpc-cancel").hidden = element("hpc-notify").hidden = true;
    element("hpc-copy").addEventListener("click", () => copy([what, ...log].join("\n")));
  }

  async function copy(text) {
    const all = `${new Date().toISOString()} ${window.location.origin}${api}\n${text}\n`;
    try {
      await navigator.clipboard.writeText(all);
      element("hpc-copy").textContent = "Copied";
    } catch (error) {
      window.prompt("Copy this:", all);
    }
  }

  function ready(event) {
    over = true;
    if (wants && document.hidden) new Notification("Your session is ready", { body: server || document.title });
    window.location.reload();
  }

  // This server and no other, also where it has a name.
  async function cancel(goTo) {
    for (const id of ["hpc-cancel", "hpc-change"]) element(id).disabled = true;
    element("hpc-now").textContent = "Cancelling the job.";
    over = true;
    events.close();
    const response = await fetch(api, {
      method: "DELETE", headers: { "X-XSRFToken": (window.jhdata || {}).xsrf_token || "" },
    }).catch((error) => ({ ok: false, statusText: error.message }));
    if (!response.ok && response.status !== 404) {
      element("hpc-now").textContent = `It could not be cancelled: ${response.statusText}. Reload this page and try again.`;
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

  let wants = false;
  function offerNotification() {
    if (!("Notification" in window) || Notification.permission === "denied") return;
    const button = element("hpc-notify");
    button.hidden = false;
    button.addEventListener("click", async () => {
      wants = (await Notification.requestPermission()) === "granted";
      button.textContent = wants ? "You will be told" : "Your browser does not allow it";
      button.disabled = true;
    });
  }

  const events = new EventSource(progress);
  events.onmessage = (message) => {
    const event = JSON.parse(message.data);
    if (event.failed) {
      events.close();
      fail(event);
    } else {
      show(event);
      if (event.ready) {
        events.close();
        ready(event);
      }
    }
  };
  element("hpc-cancel").addEventListener("click", () => cancel(again.replace(/spawn\/.*$/, "home")));
  element("hpc-change").addEventListener("click", () => (over ? window.location.assign(again) : cancel(again)));
  offerNotification();
  setInterval(tick, 1000);
})();
