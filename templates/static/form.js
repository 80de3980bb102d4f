// The spawn form. Fields follow each other and the preset; the Hub checks what is typed, and starts nothing by that.
"use strict";

(() => {
  const root = document.querySelector(".hpc-form");
  if (!root) return;
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

  // A preset fills the fields in; without one they are as they were typed.
  function takePreset(event) {
    const radio = presets.find((preset) => preset.checked);
    const preset = radio && rules.presets[radio.value];
    for (const control of controls) {
      write(control, preset ? preset.values[control.name] || "" : typed.get(control.name));
    }
    refresh(event);
  }

  function facts() {
    for (const theme of root.querySelectorAll(".hpc-theme")) {
      const words = controls.filter((control) => theme.contains(control)).map(word).filter(Boolean);
      theme.querySelector(".hpc-theme-facts").textContent = words.join(", ");
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

  function values() {
    const filled = controls.map((control) => [control.name, read(control)]).filter(([, value]) => value);
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
    if (!root.dataset.preview) return;
    const number = ++asked;
    let answer;
    try {
      const response = await fetch(root.dataset.preview, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-XSRFToken": (window.jhdata || {}).xsrf_token || "" },
        body: JSON.stringify(values()),
      });
      if (!response.ok) throw new Error(response.statusText);
      answer = await response.json();
    } catch (error) {
      last = "";
      return; // the start checks it all again, and says what is wrong
    }
    if (number !== asked) return;
    show(answer);
    if (answer.asking && pause <= 16000) timer = setTimeout(ask, pause, 2 * pause);
  }

  function show(answer) {
    if (answer.limits) follow(answer);
    for (const control of controls) {
      const error = note(control, "error");
      // What the page came with says more.
      const message = (!touched && error.textContent) || answer.errors[control.name] || "";
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
    const radio = presets.find((preset) => preset.checked);
    const locked = ((radio && rules.presets[radio.value]) || { lock: [] }).lock;
    for (const control of controls) control.disabled = locked.includes(control.name);
  }

  function refresh(event) {
    lock();
    facts();
    check(event);
  }

  async function copyLink(button) {
    const query = new URLSearchParams(Object.entries(values()).map(([name, value]) => [`opt-${name}`, value]));
    const next = new URLSearchParams(window.location.search).get("next");
    if (next) query.set("next", next);
    const link = `${window.location.origin}${window.location.pathname}?${query}`;
    try {
      await navigator.clipboard.writeText(link);
      button.textContent = "Link copied";
    } catch (error) {
      window.prompt("Copy this link:", link);
    }
  }

  function addCopyLink() {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-link btn-sm hpc-copy";
    button.textContent = "Copy a link to this configuration";
    button.addEventListener("click", () => copyLink(button));
    root.append(button);
  }

  // What is not ticked is sent too, or nobody could switch off what a preset switches on.
  function sendUnticked() {
    for (const control of controls.filter((each) => each.type === "checkbox" && !each.checked && !each.disabled)) {
      const off = document.createElement("input");
      Object.assign(off, { type: "hidden", name: control.name, value: "off" });
      root.append(off);
    }
  }

  for (const theme of root.querySelectorAll("[data-fold]")) theme.open = false;
  root.closest("form").noValidate = true; // the Hub's check has the same limits, and words for them
  for (const control of controls) {
    control.addEventListener("input", refresh);
    control.addEventListener("change", refresh);
  }
  for (const preset of presets) preset.addEventListener("change", takePreset);
  root.closest("form").addEventListener("submit", sendUnticked);
  addCopyLink();
  refresh();
})();
