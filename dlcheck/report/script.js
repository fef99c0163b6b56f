"use strict";
(() => {
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const items = [...document.querySelectorAll(".item")];
  const claims = items.filter((item) => item.dataset.verdict);
  const chips = [...document.querySelectorAll("[data-filter]")];
  const texts = new Map();
  const themes = ["auto", "light", "dark"];
  const empty = () => ({ verdict: new Set(), family: new Set(), q: "", theme: "auto" });
  let wanted = empty();
  let current = null;

  // The state lives in the hash as "#?verdict=refuted&q=adam"; any other hash is the id of a place in the page.
  function read() {
    if (!location.hash.startsWith("#?")) return null;
    const given = new URLSearchParams(location.hash.slice(2));
    const list = (name) => new Set((given.get(name) || "").split(",").filter(Boolean));
    const theme = themes.includes(given.get("theme")) ? given.get("theme") : "auto";
    return { verdict: list("verdict"), family: list("family"), q: given.get("q") || "", theme };
  }

  function write() {
    const given = new URLSearchParams();
    for (const name of ["verdict", "family"]) if (wanted[name].size) given.set(name, [...wanted[name]].join(","));
    if (wanted.q) given.set("q", wanted.q);
    if (wanted.theme !== "auto") given.set("theme", wanted.theme);
    const hash = String(given).replaceAll("%2C", ",");
    history.replaceState(null, "", hash ? "#?" + hash : location.pathname + location.search);
  }

  function text(item) {
    if (!texts.has(item)) texts.set(item, item.textContent.toLowerCase());
    return texts.get(item);
  }

  function matches(item) {
    const verdict = !wanted.verdict.size || !item.dataset.verdict || wanted.verdict.has(item.dataset.verdict);
    const family = !wanted.family.size || wanted.family.has(item.dataset.family);
    return verdict && family && wanted.q.toLowerCase().split(/\s+/).every((word) => text(item).includes(word));
  }

  function apply() {
    for (const item of items) item.hidden = !matches(item);
    for (const group of document.querySelectorAll(".group")) group.hidden = !group.querySelector(".item:not([hidden])");
    for (const chip of chips) chip.setAttribute("aria-pressed", wanted[chip.dataset.filter].has(chip.dataset.value));
    if (byId("search").value !== wanted.q) byId("search").value = wanted.q;
    byId("shown").textContent = `${claims.filter((item) => !item.hidden).length} of ${claims.length} claims`;
    byId("clear").hidden = !(wanted.verdict.size || wanted.family.size || wanted.q);
    byId("theme").querySelector("b").textContent = wanted.theme;
    if (wanted.theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = wanted.theme;
  }

  function change(edit) {
    edit(wanted);
    write();
    apply();
  }

  // A link to an item must reach it, filtered out or folded as it may be. It is kept as the current one, since the
  // browser takes the focus away when it arrives.
  function reveal() {
    const place = byId(decodeURIComponent(location.hash.slice(1)));
    const item = place && place.closest(".item");
    if (!item) return;
    if (item.hidden) wanted = { ...empty(), theme: wanted.theme };
    apply();
    item.open = true;
    item.scrollIntoView();
    current = item;
  }

  function follow() {
    wanted = read() || wanted;
    apply();
    if (location.hash && !location.hash.startsWith("#?")) reveal();
  }

  function step(by) {
    const shown = items.filter((item) => !item.hidden);
    const here = shown.indexOf(current);
    const next = shown[here < 0 ? 0 : Math.min(Math.max(here + by, 0), shown.length - 1)];
    if (next) next.firstElementChild.focus();
  }

  const keys = {
    j: () => step(1),
    k: () => step(-1),
    x: () => { if (current) current.open = !current.open; },
    "/": () => byId("search").focus(),
  };

  document.addEventListener("focusin", (event) => { current = event.target.closest(".item") || current; });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input");
    if (typing && event.key === "Escape") event.target.blur();
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });
  for (const chip of chips) {
    chip.addEventListener("click", () => change((state) => {
      const chosen = state[chip.dataset.filter];
      if (!chosen.delete(chip.dataset.value)) chosen.add(chip.dataset.value);
    }));
  }
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("search").addEventListener("input", (event) => change((state) => { state.q = event.target.value; }));
  byId("clear").addEventListener("click", () => change((state) => Object.assign(state, empty(), { theme: state.theme })));
  byId("theme").addEventListener("click", () => change((state) => {
    state.theme = themes[(themes.indexOf(state.theme) + 1) % themes.length];
  }));
  addEventListener("hashchange", follow);
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const item of folded) item.open = true;
  });
  addEventListener("afterprint", () => { for (const item of folded) item.open = false; });

  for (const id of ["filters", "theme"]) byId(id).hidden = false;
  document.querySelector(".keys").hidden = false;
  const first = claims.find((item) => item.dataset.verdict === "refuted");
  if (first) first.open = true;
  follow();
})();
