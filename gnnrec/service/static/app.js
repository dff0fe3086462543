// Makes the pages quicker; all of them work without it. Forms are sent and parts of the page exchanged in place.
"use strict";

const main = () => document.getElementById("main");

function say(text) {
  document.getElementById("said").textContent = text;
}

/** Exchange the main part of the page (or one element of it) for that of an answer. */
async function show(response, selector = "#main") {
  // Another page answered, such as the choice of profiles after this one was deleted in another tab.
  if (response.redirected && new URL(response.url).pathname !== location.pathname) { location.assign(response.url); return; }
  const made = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = made.querySelector(selector);
  const old = document.querySelector(selector);
  if (!fresh || !old) { location.assign(response.url); return; }
  old.replaceChildren(...fresh.childNodes);
  for (const name of ["data-refresh"]) {
    if (fresh.hasAttribute(name)) old.setAttribute(name, fresh.getAttribute(name)); else old.removeAttribute(name);
  }
  if (selector === "#main") document.title = made.title;
}

// Forms that change something: stay on the page, keep the place and the focus.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("form[data-swap]") || form.dataset.busy) { if (form.dataset.busy) event.preventDefault(); return; }
  event.preventDefault();
  form.dataset.busy = "1";
  const card = form.closest("[data-movie]");
  const cards = [...document.querySelectorAll("[data-movie]")];
  const place = cards.indexOf(card);
  try {
    const data = new URLSearchParams(new FormData(form, event.submitter));
    const response = await fetch(form.action, { method: "POST", body: data });
    if (!response.ok) { document.documentElement.innerHTML = await response.text(); return; }
    await show(response);
    say(form.dataset.said || "Done");
    const next = document.querySelectorAll("[data-movie]")[Math.max(0, Math.min(place, cards.length - 1))];
    const target = next && next.querySelector("h3 a, button");
    if (target) target.focus({ preventScroll: true });
  } catch {
    delete form.dataset.busy;
    say("The service does not answer. Try again.");
  }
});

// Search while typing.
let waiting, asked = 0;
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-live]");
  if (!form) return;
  clearTimeout(waiting);
  const mine = ++asked;
  const found = () => document.querySelector(form.dataset.live);
  found()?.setAttribute("aria-busy", "true"); // what is shown is not yet what was asked for
  waiting = setTimeout(async () => {
    const address = `${form.getAttribute("action")}?${new URLSearchParams(new FormData(form))}`;
    const response = await fetch(address).catch(() => null);
    if (mine !== asked) return;
    if (response && response.ok) {
      history.replaceState(null, "", address);
      await show(response, form.dataset.live);
    }
    if (mine === asked) found()?.removeAttribute("aria-busy");
  }, 180);
});

// Filters apply at once.
document.addEventListener("change", async (event) => {
  const form = event.target.closest("form[data-filters]");
  if (!form) return;
  const filled = [...new FormData(form)].filter(([, value]) => value !== "");
  const address = `${form.getAttribute("action")}?${new URLSearchParams(filled)}`;
  const focused = document.activeElement;
  const key = focused && focused.type === "range" ? `[name="${focused.name}"]` : focused && focused.name ? `[name="${focused.name}"][value="${CSS.escape(focused.value)}"]` : null;
  const response = await fetch(address).catch(() => null);
  if (!response || !response.ok) { form.submit(); return; }
  history.replaceState(null, "", address);
  await show(response);
  const again = key && document.querySelector(key);
  if (again) again.focus({ preventScroll: true });
});

// Keys 1 to 5 rate the movie that has the focus, or is under the pointer.
document.addEventListener("keydown", (event) => {
  if (!/^[1-5]$/.test(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea")) return;
  const card = event.target.closest("[data-movie]") || document.querySelector("[data-movie]:hover");
  const button = card && card.querySelector(`.stars button[value="${event.key}"]`);
  if (button) { event.preventDefault(); button.click(); }
});

// Files may be dropped.
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    const form = event.target.closest && event.target.closest("form.drop");
    if (!form) return;
    event.preventDefault();
    form.classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) {
      form.querySelector("input[type=file]").files = event.dataTransfer.files;
      form.requestSubmit();
    }
  });
}

// The progress of a training.
setInterval(async () => {
  const job = document.querySelector("[data-refresh]");
  if (!job || document.hidden) return;
  const response = await fetch(location.href).catch(() => null);
  if (response && response.ok) await show(response);
}, 2000);

// On a phone, the pages are a row that scrolls: show the present one.
const present = document.querySelector(".top nav [aria-current]");
if (present) present.scrollIntoView({ block: "nearest", inline: "center" });
