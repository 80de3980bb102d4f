// The spawn form. Fields follow each other and the preset; the Hub checks what is typed, and starts nothing by that.
"use strict";

(() => {
  const root = document.querySelector(".hpc-form");
  if (!root) return;
  const form = root.closest("form");
  const rules = JSON.parse(root.dataset.rules);
  const controls = [...root.querySelectorAll(".hpc-field [name]")];
  const presets = [...root.querySelectorAll('[name="profile"]')];
  const outlook = root.querySelector(".hpc-outlook");
  const note = (control, kind) => document.getElementById(`${control.id}-${kind}`);
  const helps = new Map(controls.map((control) => [control.name, note(control, "help").textContent]));
  const typed = new Map(controls.map((control) => [control.name, read(control)]));

  function read(control) {
    if (control.type === "checkbox") return control.checked ? "on" : "";
    return control.value;
  }

  function write(control, value) {
    if (control.type === "checkbox") control.checked = value === "on";
    else control.value = value;
    if (control.selectedIndex < 0) control.selectedIndex = 0;
  }

  // Limits, choices and what an open field means, as the Hub says they go with what is chosen.
  function follow({ limits, choices, defaults }) {
    for (const control of controls) {
      const [most, sentence] = limits[control.name] || ["", ""];
      if (control.type === "number" && most) control.max = most;
      else if (control.type === "number") control.removeAttribute("max");
      const text = sentence ? `${sentence[0].toUpperCase()}${sentence.slice(1)}.` : "";
      note(control, "help").textContent = [helps.get(control.name).replace(/ ?At most .*$/, ""), text].join(" ").trim();
      if (control.type === "text") control.placeholder = defaults[control.name] || "";
      if (control.tagName === "SELECT") narrow(control, choices[control.name]);
    }
  }

  // What is chosen stays, and its error says that it does not go with the rest.
  function narrow(control, fitting) {
    for (const option of control.options) {
      const fits = !fitting || !option.value || option.selected || fitting.includes(option.value);
      option.hidden = option.disabled = !fits;
    }
  }

  function chosen() {
    const radio = presets.find((preset) => preset.checked);
    return radio && rules.presets[radio.value];
  }

  // A preset fills the fields in; without one they are as they were typed.
  function takePreset(event) {
    const preset = chosen();
    for (const control of controls) {
      write(control, preset ? preset.values[control.name] || "" : typed.get(control.name));
    }
    refresh(event);
  }

  function facts() {
    for (const shown of root.querySelectorAll(".hpc-theme-facts")) {
      const theme = shown.closest("details");
      const words = controls.filter((control) => theme.contains(control)).map(word).filter(Boolean);
      const none = theme.querySelector('[type="checkbox"]') ? "none" : "the site's defaults";
      shown.textContent = words.join(", ") || none;
    }
  }

  // The line of the queue that is chosen, or that is meant where none is.
  function markQueue() {
    const queue = controls.find((control) => control.name === "queue");
    for (const row of root.querySelectorAll(".hpc-free [data-queue]")) {
      const mine = queue && (read(queue) ? read(queue) === row.dataset.queue : "default" in row.dataset);
      row.setAttribute("aria-current", Boolean(mine));
    }
  }

  function word(control) {
    const value = read(control);
    if (!value) return "";
    if (control.name === "nodes") return value === "1" ? "1 node" : `${value} nodes`;
    if (control.type === "checkbox" || control.type === "number") {
      const label = root.querySelector(`label[for="${control.id}"]`).textContent;
      return control.type === "checkbox" ? label : `${label.toLowerCase()}: ${value}`;
    }
    return (rules.titles[control.name] || {})[value] || value;
  }

  // A box that is not ticked says so where it would be without a word: by the preset, or by the site.
  function meant(control) {
    const ticked = (chosen() || { values: {} }).values[control.name] || rules.ticked.includes(control.name);
    return read(control) || (ticked && control.type === "checkbox" ? "off" : "");
  }

  function values() {
    const filled = controls.map((control) => [control.name, meant(control)]).filter(([, value]) => value);
    const preset = presets.find((radio) => radio.checked);
    return Object.fromEntries(preset && preset.value ? [["profile", preset.value], ...filled] : filled);
  }

  // The Hub's own check, the same as at the start; only the last answer counts.
  let asked = 0;
  let timer = 0;
  let last = "";
  let touched = false;
  function check(event) {
    const now = JSON.stringify(values());
    if (now === last) return; // of one choice there are two events
    last = now;
    touched = touched || Boolean(event);
    clearTimeout(timer);
    timer = setTimeout(ask, event && event.type === "input" && event.target.tagName !== "SELECT" ? 250 : 0, 1000);
  }

  // The batch system's own estimate comes later: ask again for it a few times, each after a longer pause.
  async function ask(pause) {
    if (!root.dataset.preview) return null;
    const number = ++asked;
    let answer;
    try {
      const response = await fetch(root.dataset.preview, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-XSRFToken": new URL(form.action).searchParams.getAll("_xsrf").pop() || "" },
        body: JSON.stringify(values()),
        signal: AbortSignal.timeout(10000),
      });
      if (!response.ok) throw new Error(response.statusText);
      answer = await response.json();
    } catch (error) {
      last = "";
      return null; // the start checks it all again, and says what is wrong
    }
    if (number !== asked) return answer;
    show(answer);
    if (answer.asking && pause <= 16000) timer = setTimeout(ask, pause, 2 * pause);
    return answer;
  }

  function show(answer) {
    if (answer.limits) follow(answer);
    for (const control of controls) {
      const error = note(control, "error");
      // What the page came with says more, such as the batch system's refusal, until something is changed.
      const message = (!touched && error.textContent) || { ...answer.refused, ...answer.errors }[control.name] || "";
      error.textContent = message;
      error.hidden = !message;
      control.classList.toggle("is-invalid", Boolean(message));
      control.toggleAttribute("aria-invalid", Boolean(message));
      if (message) {
        control.setAttribute("aria-invalid", "true");
        control.setAttribute("aria-describedby", `${error.id} ${control.id}-help`);
        control.closest("details").open = true;
      }
    }
    const wait = (answer.wait || "").replace("{time}", answer.start ? clock(new Date(answer.start * 1000)) : "");
    tell({ problem: answer.problem, wait, cost: answer.cost });
  }

  // Only what is new: whoever has it read out hears nothing twice.
  function tell(words) {
    for (const [name, text] of Object.entries(words)) {
      const line = outlook.querySelector(`.hpc-outlook-${name}`);
      if (line.textContent !== (text || "")) line.textContent = text || "";
      line.hidden = !text;
    }
    outlook.hidden = !Object.values(words).some(Boolean);
  }

  // In the reader's own zone; with the day, where it is not today.
  function clock(time) {
    const today = time.toDateString() === new Date().toDateString();
    const day = today ? {} : { weekday: "short", day: "numeric", month: "short" };
    return time.toLocaleString([], { ...day, hour: "2-digit", minute: "2-digit" });
  }

  function lock() {
    const { lock: locked } = chosen() || { lock: [] };
    for (const control of controls) control.disabled = locked.includes(control.name);
  }

  function refresh(event) {
    if (!chosen()) controls.forEach((control) => typed.set(control.name, read(control)));
    lock();
    facts();
    markQueue();
    share();
    check(event);
  }

  // A link to what is filled in, and to what opens afterwards: JupyterHub's own address for whoever follows it, but for
  // a named server, which has a name only with its user's.
  const hub = (root.dataset.preview || "/hub/api/hpc-spawner/preview").replace(/api\/hpc-spawner\/preview$/, "");
  const [user, server] = window.location.pathname.slice(hub.length).split("/").slice(1);
  const home = server ? `${hub.replace(/hub\/$/, "")}user/${user}/${server}/` : `${hub}user-redirect/`;
  const field = (id) => document.getElementById(`hpc-${id}`);

  function link() {
    const query = new URLSearchParams(Object.entries(values()).map(([name, value]) => [`opt-${name}`, value]));
    const next = after(field("open").value.trim());
    if (next) query.set("next", next);
    return `${window.location.origin}${hub}spawn${server ? `/${user}/${server}` : ""}?${query}`;
  }

  // A repository as nbgitpuller takes it, with the branch and the file where it is the address of one; or a path.
  function after(wanted) {
    if (!wanted || wanted.startsWith("/")) return wanted;
    if (!/^https?:\/\//.test(wanted)) return `${home}lab/tree/${wanted.split("/").map(encodeURIComponent).join("/")}`;
    const [, repo, branch, path] = wanted.match(/^(.*?)(?:\/-)?\/(?:blob|tree)\/([^/]+)\/?(.*)$/) || [null, wanted];
    const folder = repo.replace(/\/+$/, "").split("/").pop().replace(/\.git$/, "");
    const pull = new URLSearchParams({ repo, ...(branch && { branch }), urlpath: ["lab/tree", folder, path].filter(Boolean).join("/") });
    return `${home}git-pull?${pull}`;
  }

  function share() {
    field("link").value = link();
    field("copy-link").textContent = "Copy the link";
  }

  async function copyLink() {
    try {
      await navigator.clipboard.writeText(field("link").value);
      field("copy-link").textContent = "Link copied";
    } catch (error) { // browsers have no clipboard for pages without TLS
      field("link").select();
      field("copy-link").textContent = "Now press Ctrl+C";
    }
  }

  function offerLink() {
    const next = new URLSearchParams(window.location.search).get("next");
    const opens = root.querySelector(".hpc-opens");
    opens.hidden = !next;
    opens.querySelector("bdi").textContent = next;
    field("open").value = next || "";
    field("open").addEventListener("input", share);
    field("copy-link").addEventListener("click", copyLink);
    root.querySelector(".hpc-share").hidden = false;
  }

  // What is not ticked is sent too, or nobody could switch off what a preset switches on.
  function sendUnticked() {
    for (const control of controls.filter((each) => each.type === "checkbox" && !each.checked && !each.disabled)) {
      const off = document.createElement("input");
      Object.assign(off, { type: "hidden", name: control.name, value: "off", className: "hpc-off" });
      root.append(off);
    }
  }

  // The Hub's check comes before the form goes: what is wrong is said at once, and the first such field has the focus.
  // A Hub that does not answer says it in its answer to the form.
  const start = form.querySelector('[type="submit"]');
  const label = start.textContent;
  let checked = false;

  async function send(event) {
    if (!checked) {
      event.preventDefault();
      event.stopImmediatePropagation();
      busy(true);
      clearTimeout(timer);
      const answer = await ask(1000);
      const wrong = answer && controls.find((control) => answer.errors[control.name] && !control.disabled);
      busy(!wrong);
      if (wrong) {
        wrong.focus();
        return;
      }
      checked = true;
      form.requestSubmit();
    } else {
      sendUnticked();
    }
  }

  function busy(yes) {
    start.setAttribute("aria-busy", yes);
    start.textContent = yes ? "Starting …" : label;
  }

  // Back from another page, by the browser's button.
  function again() {
    checked = false;
    busy(false);
    for (const off of root.querySelectorAll(".hpc-off")) off.remove();
  }

  for (const theme of root.querySelectorAll("[data-fold]")) theme.open = false;
  form.noValidate = true; // the Hub's check has the same limits, and words for them
  for (const control of controls) {
    control.addEventListener("input", refresh);
    control.addEventListener("change", refresh);
  }
  for (const preset of presets) preset.addEventListener("change", takePreset);
  form.addEventListener("submit", send, true);
  window.addEventListener("pageshow", (event) => event.persisted && again());
  offerLink();
  refresh();
})();
