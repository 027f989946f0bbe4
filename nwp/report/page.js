"use strict";
(() => {
  const get = (id) => document.getElementById(id);

  // ---------------------------------------------------------------------------------------- theme
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const button = get("theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const name = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `${isDark() ? "Light" : "Dark"} colours`);
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("nwp-theme", root.dataset.theme);
    } catch {
      // Then it lasts as long as the page.
    }
    name();
  });
  system.addEventListener("change", name);
  button.hidden = false;
  name();

  // ------------------------------------------------------------------------------------- contents
  const links = new Map(
    [...document.querySelectorAll(".contents a")].map((a) => [a.getAttribute("href").slice(1), a]),
  );
  if ("IntersectionObserver" in window) {
    const seen = new Set();
    const watch = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) {
          if (entry.isIntersecting) seen.add(entry.target.id);
          else seen.delete(entry.target.id);
        }
        const now = [...links.keys()].find((id) => seen.has(id));
        for (const [id, a] of links) {
          if (id === now) a.setAttribute("aria-current", "true");
          else a.removeAttribute("aria-current");
        }
      },
      { rootMargin: "-10% 0px -60% 0px" },
    );
    for (const id of links.keys()) watch.observe(get(id));
  }

  // ----------------------------------------------------------------------------------------- copy
  const copy = get("copy");
  if (copy) {
    const told = get("copied");
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(get("command").textContent);
        told.textContent = "Copied.";
      } catch {
        getSelection().selectAllChildren(get("command"));
        told.textContent = "It is selected: copy it with Ctrl-C.";
      }
    });
  }

  // What is folded away belongs on paper, too.
  addEventListener("beforeprint", () => {
    for (const each of document.querySelectorAll("details")) each.open = true;
  });

  // ---------------------------------------------------------------------------------------- table
  const source = get("rows");
  if (!source) return;
  const { columns, rows, scale, words, few, page } = JSON.parse(source.textContent);
  const table = get("table");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const folded = rows.map((row) => String(row[0]).normalize("NFKC").toLowerCase());
  const order = rows.map((_, i) => i);
  let by = columns.findIndex((column) => column.key === "perplexity");
  let up = true;
  let start = 0;
  let shown = order;

  const whole = (digits) =>
    new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const forms = { whole: whole(0), tenth: whole(1), hundredth: whole(2) };
  const write = (value, kind) => {
    if (value === null) return "–";
    if (kind === "percent") return `${(100 * value).toFixed(1)}%`;
    if (kind === "name") return String(value);
    // As in words.py: 1.0e+300 is one figure, and 300 digits are none.
    return value < 1e12 ? forms[kind].format(value) : value.toExponential(1);
  };

  const draw = (tag, attributes, parent) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    parent.append(made);
    return made;
  };
  const at = (value) => {
    const [low, , high] = scale.map(Math.log);
    return (4 + (72 * (Math.log(value) - low)) / (high - low)).toFixed(1);
  };
  const strip = (value, cell) => {
    const svg = draw("svg", { class: "strip", viewBox: "0 0 80 12", "aria-hidden": "true" }, cell);
    draw("path", { class: "rail", d: "M4 6H76" }, svg);
    draw("path", { class: "middle", d: `M${at(scale[1])} 2V10` }, svg);
    draw("circle", { cx: at(value), cy: 6, r: 3 }, svg);
  };
  // Names are only ever text here, never markup.
  const line = (row) => {
    const made = document.createElement("tr");
    const noisy = words !== null && (row[words] ?? 0) < few;
    if (noisy) made.className = "few";
    columns.forEach(({ key, kind }, i) => {
      const cell = document.createElement(kind === "name" ? "th" : "td");
      if (kind === "name") {
        cell.scope = "row";
        const text = document.createElement("bdi");
        text.textContent = text.title = write(row[i], kind);
        cell.append(text);
        if (noisy) {
          const tag = document.createElement("span");
          tag.className = "tag";
          tag.textContent = "few words";
          cell.append(" ", tag);
        }
      } else {
        cell.className = "n";
        if (key === "perplexity" && scale && row[i] !== null) strip(row[i], cell);
        cell.append(write(row[i], kind));
      }
      made.append(cell);
    });
    return made;
  };

  const count = new Intl.NumberFormat("en-US");
  const show = () => {
    const some = shown.slice(start, start + page);
    body.replaceChildren(...some.map((i) => line(rows[i])));
    const last = start + some.length;
    get("shown").textContent = !shown.length
      ? "No user is called so"
      : shown.length <= page
        ? `${count.format(shown.length)} of ${count.format(rows.length)}`
        : `${count.format(start + 1)} to ${count.format(last)} of ${count.format(shown.length)}`;
    get("back").disabled = start === 0;
    get("next").disabled = last >= shown.length;
  };
  const compare = new Intl.Collator("en", { numeric: true }).compare;
  const arrange = () => {
    // Those without a figure come last, whichever way the others go.
    order.sort((a, b) => {
      const [x, y] = [rows[a][by], rows[b][by]];
      if (x === null || y === null) return (x === null) - (y === null) || a - b;
      const found = columns[by].kind === "name" ? compare(x, y) : x - y;
      return (up ? found : -found) || a - b;
    });
    const sought = get("search").value.normalize("NFKC").toLowerCase().trim();
    shown = sought ? order.filter((i) => folded[i].includes(sought)) : order;
    start = 0;
    show();
  };

  heads.forEach((head, i) => {
    const sort = document.createElement("button");
    sort.type = "button";
    sort.textContent = head.textContent;
    head.replaceChildren(sort);
    sort.addEventListener("click", () => {
      // A second press turns it round. The first brings the best to the top, and names from A.
      up = by === i ? !up : columns[i].kind === "name" || !better(columns[i].key);
      by = i;
      heads.forEach((each, j) => {
        if (j === i) each.setAttribute("aria-sort", up ? "ascending" : "descending");
        else each.removeAttribute("aria-sort");
      });
      arrange();
    });
  });
  function better(key) {
    return ["tokens", "top1", "top3", "keystroke_savings"].includes(key);
  }
  get("search").addEventListener("input", arrange);
  const turn = (step) => {
    start = Math.max(0, start + step);
    show();
    table.parentElement.scrollTop = 0;
  };
  get("back").addEventListener("click", () => turn(-page));
  get("next").addEventListener("click", () => turn(page));
  get("tools").hidden = false;
  for (const each of document.querySelectorAll(".pager")) each.hidden = rows.length <= page;
  const first = get("first");
  if (first) first.hidden = true;
  if (by < 0) {
    by = 0;
    heads[0].setAttribute("aria-sort", "ascending");
  }
  arrange();
})();
