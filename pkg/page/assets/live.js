"use strict";
const main = document.getElementById("main");
const live = document.getElementById("live");
const form = document.getElementById("filter");
const interval = 2000;
let timer = 0, turn = 0;

// Replaces what is shown by what the server shows now, unless somebody is selecting text in it.
function show(fresh) {
  const selection = getSelection();
  if (!selection.isCollapsed && main.contains(selection.anchorNode)) return;
  for (const open of main.querySelectorAll("details[open]")) fresh.querySelector("#" + open.id)?.setAttribute("open", "");
  if (fresh.innerHTML === main.innerHTML) return;
  const focused = main.contains(document.activeElement) ? document.activeElement.id : "";
  main.replaceChildren(...fresh.childNodes);
  if (focused) document.getElementById(focused)?.focus({preventScroll: true});
}

function say(text, stale) {
  if (live.textContent !== text) live.textContent = text;
  document.body.classList.toggle("stale", stale);
}

async function refresh() {
  clearTimeout(timer);
  const mine = ++turn;
  try {
    const answer = await fetch(location.href, {headers: {Accept: "text/html"}, signal: AbortSignal.timeout(10000)});
    if (!answer.ok && answer.status !== 404) throw new Error("status " + answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (mine !== turn) return;
    show(page.getElementById("main"));
    document.title = page.title;
    say("live", false);
  } catch {
    if (mine !== turn) return;
    say("not reachable; this is old", true);
  }
  timer = setTimeout(refresh, interval);
}

// On the page of one Service the filter leads to the list of the Services.
if (!form.hasAttribute("action")) {
  form.addEventListener("input", () => {
    const params = new URLSearchParams(location.search);
    const wanted = form.elements.q.value.trim();
    params.delete("page");
    params.delete("held");
    if (wanted) params.set("q", wanted); else params.delete("q");
    const text = params.toString();
    history.replaceState(null, "", text ? "?" + text : location.pathname);
    clearTimeout(timer);
    timer = setTimeout(refresh, 150);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    refresh();
  });
}
document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else refresh();
});
say("live", false);
timer = setTimeout(refresh, interval);
