"use strict";
// The report is complete without this: it only adds search, filters and permalinks that open their sample.
(() => {
  const form = document.getElementById("filter");
  const items = Array.from(document.querySelectorAll("details.item"));
  const search = document.getElementById("search");
  const flag = document.getElementById("flag");
  const category = document.getElementById("category");
  const shown = document.getElementById("shown");
  if (!form || items.length === 0) return;

  const texts = new Map();
  const text = (item) => {
    if (!texts.has(item)) texts.set(item, item.textContent.toLowerCase());
    return texts.get(item);
  };

  const matches = (item) => {
    const words = search.value.trim().toLowerCase();
    const flags = item.dataset.flags.split(" ").filter(Boolean);
    if (flag.value === "*" && flags.length === 0) return false;
    if (flag.value && flag.value !== "*" && !flags.includes(flag.value)) return false;
    if (category && category.value && item.dataset.category !== category.value) return false;
    return !words || text(item).includes(words);
  };

  const apply = () => {
    let count = 0;
    for (const item of items) {
      item.hidden = !matches(item);
      if (!item.hidden) count += 1;
    }
    shown.textContent = `${count} of ${items.length} samples`;
  };

  const openTarget = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (target && target.classList.contains("item")) {
      target.hidden = false;
      target.open = true;
      target.scrollIntoView();
    }
  };

  let timer = 0;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(apply, 120);
  });
  for (const select of [flag, category]) if (select) select.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("unfold").addEventListener("click", () => {
    const visible = items.filter((item) => !item.hidden);
    const open = visible.some((item) => !item.open);
    for (const item of visible) item.open = open;
  });
  window.addEventListener("hashchange", openTarget);
  form.hidden = false;
  apply();
  openTarget();
})();
