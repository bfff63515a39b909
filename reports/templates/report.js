"use strict";
// The report is complete without this: it only adds search, filters, sorting, and permalinks that open their sample.
(() => {
  const id = (name) => document.getElementById(name);
  const form = id("filter");
  if (!form) return;
  const [search, flag, category, sort, shown, index] = ["search", "flag", "category", "sort", "shown", "index"].map(id);
  const LISTED = 200; // matches of a long run that are listed
  const words = () => search.value.trim().toLowerCase();

  // One sample of either kind of page: what it says, its flags, category and values.
  const matches = (flags, of, text) => {
    const wanted = words();
    const known = flags.split(" ").filter(Boolean);
    const plain = ["changed", "better", "worse", "differs"];
    if (flag.value === "*" && known.every((one) => plain.includes(one))) return false;
    if (flag.value && flag.value !== "*" && !known.includes(flag.value)) return false;
    if (category && category.value && of !== category.value) return false;
    return !wanted || text().includes(wanted);
  };

  // By the chosen column; samples without a value last, equal ones in the data's order.
  const sorted = (found, values) => {
    if (!sort || !sort.value) return found;
    const [column, direction] = sort.value.split(" ");
    const sign = direction === "up" ? 1 : -1;
    const keyed = found.map((one, place) => [one, values(one).split("|")[Number(column)], place]);
    keyed.sort((a, b) => {
      if (a[1] === "" || b[1] === "") return (a[1] === "") - (b[1] === "") || a[2] - b[2];
      return sign * (Number(a[1]) - Number(b[1])) || a[2] - b[2];
    });
    return keyed.map((one) => one[0]);
  };

  const folded = () => {
    const list = id("items");
    const items = Array.from(list.querySelectorAll("details.item"));
    const texts = new Map();
    const text = (item) => {
      if (!texts.has(item)) texts.set(item, item.textContent.toLowerCase());
      return texts.get(item);
    };
    let order = "";
    const apply = () => {
      let count = 0;
      for (const item of items) {
        item.hidden = !matches(item.dataset.flags, item.dataset.category, () => text(item));
        if (!item.hidden) count += 1;
      }
      if (sort && sort.value !== order) {
        order = sort.value;
        list.append(...sorted(items, (item) => item.dataset.values));
      }
      shown.textContent = `${count} of ${items.length} samples`;
    };
    const openTarget = () => {
      const target = id(location.hash.slice(1));
      if (target && target.classList.contains("item")) {
        target.hidden = false;
        target.open = true;
        target.scrollIntoView();
      }
    };
    id("unfold").addEventListener("click", () => {
      const visible = items.filter((item) => !item.hidden);
      const open = visible.some((item) => !item.open);
      for (const item of visible) item.open = open;
    });
    window.addEventListener("hashchange", openTarget);
    apply();
    openTarget();
    return items.length ? apply : null;
  };

  // A long run's samples are on other pages: matches are listed with links to them.
  const listed = () => {
    const list = id("matches");
    const { size, folder, items } = JSON.parse(index.textContent);
    const address = (number) => {
      const page = String(Math.ceil(number / size)).padStart(4, "0");
      return `${folder}/items-${page}.html#item-${number}`;
    };
    const number = /^#item-([1-9][0-9]*)$/.exec(location.hash);
    if (number && Number(number[1]) <= items.length) location.replace(address(Number(number[1])));
    const places = items.map((_, place) => place);
    const line = (place) => {
      const [name, title, flags] = items[place];
      const link = document.createElement("a");
      link.href = address(place + 1);
      link.textContent = `${place + 1}`;
      const said = document.createElement("span");
      said.dir = "auto";
      said.textContent = ` ${title || name} `;
      const marks = document.createElement("small");
      marks.textContent = flags;
      const entry = document.createElement("li");
      entry.append(link, said, marks);
      return entry;
    };
    id("unfold").hidden = true;
    search.placeholder = "id or beginning of the text";
    return () => {
      const found = places.filter((place) => {
        const [name, title, flags, of] = items[place];
        return matches(flags, of, () => `${name} ${title} ${of}`.toLowerCase());
      });
      const first = sorted(found, (place) => items[place][4]).slice(0, LISTED);
      list.replaceChildren(...first.map(line));
      list.hidden = false;
      const more = found.length > LISTED ? `, the first ${LISTED} are listed` : "";
      shown.textContent = `${found.length} of ${items.length} samples${more}`;
    };
  };

  const apply = index ? listed() : folded();
  if (!apply) return;
  let timer = 0;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(apply, 120);
  });
  for (const select of [flag, category, sort]) if (select) select.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
})();
